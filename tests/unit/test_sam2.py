"""SAM 2.1 on single pictures: the masks of its makers' own image predictor, from files of their layout."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import sam2_reference as reference
import torch
from PIL import Image

from sama_core import Engine, Prompt
from sama_core.cli import main
from sama_core.errors import WeightsError
from sama_core.files import file_sha256
from sama_core.images import Frame
from sama_core.model.backbones.sam2 import Sam2, build_sam2
from sama_core.model.sama import TASKS, Sama, SamaModules, assemble
from sama_core.model.sama_config import SamaConfig
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PAD
from sama_core.weights import registry
from sama_core.weights.sam_checkpoint import SAM2, load_sam_checkpoint

CLICK = Prompt([(40.5, 20.5)], [1])

needs_package = pytest.mark.skipif(find_spec("sam2") is None, reason="the makers' package is not installed")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file in the layout of Meta's own."""
    path = tmp_path_factory.mktemp("weights") / "sam2.1_hiera_tiny.pt"
    reference.write_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def loaded(checkpoint):
    with torch.device("meta"):
        model = build_sam2("tiny").eval()
    load_sam_checkpoint(model, checkpoint, layout=SAM2)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def features(loaded):
    pixels = torch.from_numpy(reference.picture()).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        return loaded.encode(loaded.normalise(pixels))


def embedded(model: Sam2, question: reference.Question):
    """The question as the engine puts it: clicks, then a box's corners or else one token of padding."""
    points, labels = [*question.points], [*question.labels]
    if question.box is None:
        points, labels = [*points, (0.0, 0.0)], [*labels, PAD]
    else:
        points, labels = [*points, question.box[:2], question.box[2:]], [*labels, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
    mask = torch.from_numpy(reference.mask_prompt())[None, None]
    return model.embed_prompts(torch.tensor([points]), torch.tensor([labels]), mask, torch.tensor([question.with_mask]))


def decode(model: Sam2, features, question: reference.Question):
    with torch.inference_mode():
        return model.decode(features.embedding, *embedded(model, question), features.high_res)


@pytest.mark.parametrize("name", reference.QUESTIONS)
def test_masks_are_those_recorded_of_the_makers_predictor(loaded, features, name):
    recorded = np.load(reference.RECORDED)
    ours = decode(loaded, features, reference.QUESTIONS[name])
    wanted = recorded[f"{name} logits"]
    assert wanted.std() > 0.5
    np.testing.assert_allclose(reference.thinned(ours.logits[0].numpy()), wanted, atol=1e-4, rtol=0)
    np.testing.assert_allclose(ours.iou[0].numpy(), recorded[f"{name} iou"], atol=1e-5, rtol=0)


@needs_package
def test_masks_are_those_of_the_makers_predictor_today(loaded, features, checkpoint):
    from sam2.build_sam import build_sam2 as build_official  # type: ignore[import-not-found]

    config = f"configs/sam2.1/sam2.1_hiera_{reference.CONFIGS['tiny']}.yaml"
    theirs = reference.ask(build_official(config, str(checkpoint), device="cpu"))
    for name, question in reference.QUESTIONS.items():
        ours = decode(loaded, features, question)
        np.testing.assert_allclose(ours.logits[0].numpy(), theirs[f"{name} logits"], atol=1e-4, rtol=0)
        np.testing.assert_allclose(ours.iou[0].numpy(), theirs[f"{name} iou"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", reference.CONFIGS)
def test_a_published_file_has_exactly_the_tensors_of_the_network(size):
    about = registry.info(f"sam2.1_{size}")
    with torch.device("meta"):
        model = about.build()
    named = {SAM2.rename(name): shape for name, shape in reference.official_shapes(size).items()}
    assert {name: shape for name, shape in named.items() if name is not None} == {
        name: tuple(tensor.shape) for name, tensor in model.state_dict().items()
    }
    assert SAM2.size_of(model.state_dict()) == size


def test_an_unsure_mask_gives_way_to_the_best_alternative(loaded, monkeypatch):
    decoder = loaded.mask_decoder
    sure = torch.full((256, 256), -8.0)
    sure[:100] = 8.0
    unsure = sure.clone()
    unsure[100:110] = 0.01  # a tenth more of it, at the least doubt
    alternatives = [torch.full((256, 256), float(i)) for i in (1, 2, 40)]
    hidden, image = torch.randn(2, 6, 256), torch.zeros(2, 4096, 256)
    logits = torch.stack([torch.stack([single, *alternatives]) for single in (sure, unsure)])
    monkeypatch.setattr(decoder, "masks", lambda *_: logits)
    with torch.inference_mode():
        answered = decoder.answer(hidden, image)
        best = 1 + int(answered.iou[1, 1:].argmax())
    assert torch.equal(answered.logits[0, 0], sure)
    assert torch.equal(answered.logits[1, 0], alternatives[best - 1].clamp(max=32))
    assert answered.iou[1, 0] == answered.iou[1, best] and 0 < answered.presence.min() <= answered.presence.max() < 1


def test_a_file_of_another_size_is_told_by_name(tmp_path):
    path = tmp_path / "other.pt"
    shapes = reference.official_shapes("large")
    torch.save({"model": {name: torch.empty(()).expand(shape) for name, shape in shapes.items()}}, path)
    with torch.device("meta"):
        model = build_sam2("tiny")
    with pytest.raises(WeightsError, match="it is large, the model is tiny"):
        load_sam_checkpoint(model, path, layout=SAM2)


@pytest.mark.parametrize("content", [{"other": {}}, {"model": [1]}, {"model": {"a": torch.zeros(1)}}, [1]])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with torch.device("meta"):
        model = build_sam2("tiny")
    with pytest.raises(WeightsError, match=r"other\.pt is (no SAM checkpoint|not of this model)"):
        load_sam_checkpoint(model, path, layout=SAM2)


SMALL = SamaConfig(inner_dim=32, heads=1, local_dim=32, mvle_ffn_dim=0, adapter_ffn_dim=0, head_channels=(4, 4))


def test_sama_modules_attach_and_train(loaded, features):
    torch.manual_seed(0)
    model = Sama(loaded, SamaModules(SMALL, loaded.backbone.early_channels)).train()
    question = reference.QUESTIONS["box and click"]
    sparse, dense = embedded(loaded, question)
    views = assemble(features, {})
    local = model.local_tokens(views)
    stock = loaded.decode(views.embedding, sparse, dense, views.high_res)
    for task in TASKS:
        decoded = model.decode(task, views.embedding, local, sparse, dense)
        # SAM 2's own token order: what an untrained SAMA hands on is stock SAM 2's answer
        own = model.sam_logits(decoded, views.high_res)
        torch.testing.assert_close(own[:, 1:].clamp(-32, 32), stock.logits[:, 1:], atol=1e-3, rtol=1e-3)
        decoded.logits.mean().backward(retain_graph=True)
        assert model.sama.tokens[task].grad is not None and model.sama.tokens[task].grad.abs().sum() > 0
    assert model.sama.mvle is not None and model.sama.early is not None
    for module in (model.sama.mvle, model.sama.early, *model.sama.heads.values()):
        assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in module.parameters())
    assert all(parameter.grad is None for parameter in loaded.parameters())


@pytest.fixture
def home(tmp_path, monkeypatch, checkpoint):
    """A home whose SAM 2.1 tiny is the random one."""
    monkeypatch.setenv("SAMA_HOME", str(tmp_path))
    about = registry.info("sam2.1_tiny")
    small = replace(about, size=checkpoint.stat().st_size, sha256=file_sha256(checkpoint))
    monkeypatch.setitem(registry.MODELS, "sam2.1_tiny", small)
    small.weights.parent.mkdir()
    small.weights.symlink_to(checkpoint)
    return tmp_path


def test_the_engine_and_the_command_line_answer_with_its_mask_and_say_so(home, loaded, capsys):
    rgb = np.ascontiguousarray(reference.picture()[:60, :100])
    engine = Engine("sam2.1_tiny", "cpu")
    engine.set_image(rgb)
    selected, matted = engine.select(CLICK), engine.matte(CLICK)
    for answer in (selected, matted):
        assert answer.alpha.shape == (60, 100)
        assert "The model sam2.1_tiny has no SAMA adapter yet: this is stock SAM's mask." in answer.notes
    # the picture fills the square, as it did when SAM 2 was trained
    frame = Frame(60, 100, 1024, stretched=True)
    pixels = torch.from_numpy(frame.shrink(rgb).copy()).permute(2, 0, 1)[None].float()
    x, y = frame.to_input(np.array(CLICK.points))[0]
    with torch.inference_mode():
        wanted = decode(loaded, loaded.encode(loaded.normalise(pixels)), reference.Question([(x, y)], [1]))
    found, score = engine.predict_logits(CLICK)
    assert np.corrcoef(found.ravel(), wanted.logits[0, 0].numpy().ravel())[0, 1] > 0.99
    assert score == pytest.approx(float(wanted.iou[0, 0] * wanted.presence[0]), abs=0.02)

    photo, out = home / "photo.png", home / "out.png"
    Image.fromarray(rgb).save(photo)
    assert main(["select", str(photo), "--point", "40.5,20.5", "--model", "sam2.1_tiny", "-o", str(out)]) == 0
    assert "stock SAM's mask" in "".join(capsys.readouterr())
    # of the same embedding, which the engine kept on the disk
    np.testing.assert_array_equal(np.asarray(Image.open(out)), selected.alpha)
