"""`sama info`: the parameters it names are the model's, and it needs no weights to name them."""

from __future__ import annotations

import re

import pytest
import torch

from sama_core import paths
from sama_core.cli import main
from sama_core.errors import WeightsError
from sama_core.model.sama import SamaModules
from sama_core.model.sama_config import LITE
from sama_core.weights import registry
from sama_core.weights.adapter import save_adapter


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMA_HOME", str(tmp_path))
    return tmp_path


def described(model: str, capsys) -> tuple[str, dict[str, int]]:
    """The whole text, and the numbers by the words before them."""
    assert main(["info", model]) == 0
    text = capsys.readouterr().out
    rows = re.findall(r"^ *([A-Za-z][\w, -]*?) {2,}(\d[\d ]*)", text, re.MULTILINE)
    return text, {name: int(number.replace(" ", "")) for name, number in rows}


@pytest.mark.parametrize(
    ("model", "encoder", "decoder"),
    [
        ("vit_b", 89_670_912, 4_058_340),
        ("vit_l", 308_278_272, 4_058_340),
        ("vit_h", 637_026_048, 4_058_340),
        # the makers' trunk, neck and “no memory”; SAM's decoder and what SAM 2 adds to it
        ("sam2.1_tiny", 27_219_392, 4_215_109),
    ],
)
def test_sams_parameters_by_part(model, encoder, decoder, capsys):
    text, counts = described(model, capsys)
    assert counts["image encoder"] == encoder
    assert counts["prompt encoder"] == 6_220
    assert counts["mask decoder"] == decoder
    assert counts["SAM, frozen"] == encoder + 6_220 + decoder
    ratio = 100 * counts["SAMA, added"] / counts["SAM, frozen"]
    assert f"added / SAM: {ratio:.2f} %   (the paper says 1.8 %" in text


@pytest.mark.parametrize("model", ["lite", "vit_b", "sam2.1_large"])
def test_what_sama_adds_by_module(model, capsys):
    _, counts = described(model, capsys)
    modules = ["MVLE", "early features", "Local-Adapter 1", "Local-Adapter 2", "tokens", "norms, projections"]
    modules += ["segmentation head", "matting head"]
    if model == "lite":
        modules.append("detail branch")
    assert sum(counts[name] for name in modules) == counts["SAMA, added"]
    assert all(counts[name] > 0 for name in modules)
    assert counts["tokens"] == 2 * 256


def test_missing_weights_come_with_the_command_that_fetches_them(home, capsys):
    text, _ = described("vit_b", capsys)
    path = paths.weights_dir() / "sam_vit_b_01ec64.pth"
    assert path == home / "weights" / "sam_vit_b_01ec64.pth"
    assert f"weights: {path} (not there, Apache-2.0)" in text
    assert "Fetch it with: sama weights get vit_b." in text


def test_an_adapter_file_is_described(home, capsys):
    paths.weights_dir().mkdir()
    modules = SamaModules(LITE, 768)
    save_adapter(modules, registry.info("vit_b").adapter, "vit_b", "ab" * 32, {"steps": 12})
    text, counts = described("vit_b", capsys)
    assert counts["SAMA, added"] == sum(parameter.numel() for parameter in modules.parameters())
    assert "as its adapter file says" in text
    assert "ab" * 32 in text
    assert "steps: 12" in text


def test_an_unknown_model_is_bad_usage(capsys):
    with pytest.raises(SystemExit) as left:
        main(["info", "vit_z"])
    assert left.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_every_model_says_where_its_weights_come_from(home):
    for model in registry.MODELS.values():
        assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
        assert model.licence == "Apache-2.0"
        if not model.optional:
            assert model.size == model.weights.stat().st_size
        else:
            assert model.urls[0].startswith("https://dl.fbaipublicfiles.com/segment_anything")
            assert all(url.startswith("https://") and url.endswith(f"/{model.file}") for url in model.urls)
            assert model.weights.parent == model.adapter.parent == home / "weights"


def test_every_model_has_the_early_features_that_its_entry_says():
    for model in registry.MODELS.values():
        with torch.device("meta"):
            assert model.build().backbone.early_channels == model.early_channels, model.name


@pytest.mark.parametrize("model", ["vit_b", "vit_l", "vit_h"])
def test_loading_without_the_file_says_how_to_get_it(model):
    with pytest.raises(
        WeightsError, match=rf"sam_{model}_\w+\.pth is not in .*\. Fetch it with: sama weights get {model}\."
    ):
        registry.load(model)


def test_a_file_cut_short_is_noticed_by_its_size():
    about = registry.info("vit_b")
    about.weights.parent.mkdir()
    about.weights.write_bytes(bytes(1000))
    with pytest.raises(WeightsError, match="has 1000 bytes and should have 375042383"):
        registry.load("vit_b")


def test_the_bundled_model_loads_with_the_checksum_of_its_file():
    network, sha256 = registry.load("lite")
    assert sha256 == registry.info("lite").sha256
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
