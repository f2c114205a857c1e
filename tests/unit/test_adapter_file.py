"""Adapter files come back as they were, and only where they belong."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from sama_core.errors import WeightsError
from sama_core.model.sama import SamaModules
from sama_core.model.sama_config import LITE, SamaConfig
from sama_core.weights.adapter import load_adapter, read_adapter_info, save_adapter

SHA = "ab" * 32
CHANNELS = 40
TRAINING = {"steps": 3, "data": ["masks", "mattes"], "seed": 7}


@pytest.fixture(scope="module")
def modules():
    torch.manual_seed(0)
    modules = SamaModules(LITE, CHANNELS).train()
    for name, statistics in modules.named_buffers():
        if name.endswith("running_mean"):
            statistics.normal_()
    return modules


@pytest.fixture
def path(modules, tmp_path):
    path = tmp_path / "sama_lite.safetensors"
    save_adapter(modules, path, "lite", SHA, TRAINING)
    return path


def rewrite(path, **metadata) -> None:
    """Change what the file says of itself; None takes an entry away."""
    entries = {
        "format": "1",
        "backbone": "lite",
        "backbone_sha256": SHA,
        "config": json.dumps(asdict(LITE)),
        "training": "{}",
    } | metadata
    save_file(load_file(path), path, {name: text for name, text in entries.items() if text is not None})


def test_the_modules_come_back(modules, path):
    loaded, about = load_adapter(path, CHANNELS, "lite", SHA)
    assert about == read_adapter_info(path)
    assert (about.backbone, about.backbone_sha256, about.config, about.training) == ("lite", SHA, LITE, TRAINING)
    assert not loaded.training
    assert loaded.config == LITE
    for name, tensor in modules.state_dict().items():
        other = loaded.state_dict()[name]
        assert other.dtype == tensor.dtype
        torch.testing.assert_close(other, tensor, atol=1e-3, rtol=1e-3)


def test_full_precision_is_exact(modules, tmp_path):
    path = tmp_path / "a.safetensors"
    save_adapter(modules, path, "lite", SHA, {}, torch.float32)
    loaded, _ = load_adapter(path, CHANNELS, "lite", SHA)
    for name, tensor in modules.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_switches_of_the_ablation_come_back(tmp_path):
    path = tmp_path / "a.safetensors"
    config = replace(LITE, mvle=False, head_channels=(16,), pools=(8,))
    save_adapter(SamaModules(config, CHANNELS), path, "vit_b", SHA, {})
    assert load_adapter(path, CHANNELS, "vit_b", SHA)[1].config == config


def test_a_setting_that_the_file_leaves_out_has_its_default(path):
    config = asdict(LITE)
    del config["regional"]
    rewrite(path, config=json.dumps(config))
    assert load_adapter(path, CHANNELS, "lite", SHA)[1].config.regional == SamaConfig().regional


def test_another_model_is_refused(path):
    with pytest.raises(WeightsError, match=r"for the model “lite”, not for “vit_b”\. Use it with “lite”"):
        load_adapter(path, 768, "vit_b", SHA)


def test_other_weights_of_the_same_model_are_refused(path):
    with pytest.raises(WeightsError, match=r"trained on other weights of “lite”.*abababababab….*000000000000…"):
        load_adapter(path, CHANNELS, "lite", "0" * 64)


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"format": None}, "is no SAMA adapter"),
        ({"backbone": None}, "is no SAMA adapter"),
        ({"format": "2"}, r"has format 2, and this version reads format 1\. Install the newest"),
        ({"config": None}, "is damaged"),
        ({"backbone_sha256": None}, "is damaged"),
        ({"config": "{"}, "is damaged"),
        ({"config": "[]"}, "is damaged"),
        ({"training": "{"}, "is damaged"),
        ({"config": json.dumps({"wavelets": 3})}, r"has “wavelets” in its config, which this version does not know"),
        ({"config": json.dumps({"heads": "many"})}, "“heads” makes no sense"),
        ({"config": json.dumps({"local_dim": 65, "inner_dim": 65})}, "“heads” makes no sense"),
        ({"config": json.dumps({"head_channels": []})}, "its config fits no network"),
        ({"config": json.dumps({"head_channels": ["a"]})}, "“head_channels” makes no sense"),
        # without a bound the constructor would be busy for hours
        ({"config": json.dumps({"head_polish": 10**9})}, "“head_polish” makes no sense"),
        ({"config": json.dumps({**asdict(LITE), "heads": 0})}, "“heads” makes no sense"),
        ({"config": json.dumps({**asdict(LITE), "heads": 3})}, "“heads” makes no sense"),
        ({"config": json.dumps({**asdict(LITE), "pools": [65]})}, "“pools” makes no sense"),
        ({"training": "[]"}, "is damaged"),
        ({"config": "{}"}, "does not hold the modules"),
    ],
)
def test_a_file_that_says_something_wrong_is_refused(path, metadata, text):
    rewrite(path, **metadata)
    with pytest.raises(WeightsError, match=text) as refused:
        load_adapter(path, CHANNELS, "lite", SHA)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_a_truncated_file_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    for read in (read_adapter_info, lambda path: load_adapter(path, CHANNELS, "lite", SHA)):
        with pytest.raises(WeightsError, match="cannot be read"):
            read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no adapter none\.safetensors in .*“sama train modules”"):
        load_adapter(tmp_path / "none.safetensors", CHANNELS, "lite", SHA)
