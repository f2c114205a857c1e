"""SAM's ViT backbones: the same answers as `segment_anything`, from the same files."""

from __future__ import annotations

import pickle
from functools import partial

import pytest
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.image_encoder import Attention
from torch import nn

from sama_core.errors import WeightsError
from sama_core.files import file_sha256
from sama_core.model.backbones.sam_vit import SamVitAttention, SamVitBackbone, build_sam_vit, wrap_sam
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, EXCLUDE, INCLUDE, PAD
from sama_core.weights.sam_checkpoint import load_sam_checkpoint

SIDE = 256
DIM = 32


def tiny_sam(seed: int = 0, dim: int = DIM) -> Sam:
    """SAM as `segment_anything` builds it, but for a small encoder: 64×64 patches of 4 pixels, two blocks."""
    torch.manual_seed(seed)
    encoder = ImageEncoderViT(
        img_size=SIDE,
        patch_size=4,
        embed_dim=dim,
        depth=2,
        num_heads=2,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),  # type: ignore[arg-type] - as segment_anything itself does
        use_rel_pos=True,
        window_size=14,
        global_attn_indexes=(1,),
        out_chans=256,
    )
    # segment_anything begins these at zero, where they could not tell a right bias from a wrong one
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            nn.init.normal_(parameter, std=0.5)
    prompts = PromptEncoder(256, (64, 64), (SIDE, SIDE), 16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    return Sam(encoder, prompts, MaskDecoder(transformer_dim=256, transformer=transformer)).eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file in the layout of Meta's own."""
    path = tmp_path_factory.mktemp("weights") / "sam_tiny.pth"
    torch.save(tiny_sam(seed=1).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def loaded(checkpoint):
    model = wrap_sam(tiny_sam(seed=2)).eval()
    load_sam_checkpoint(model, checkpoint)
    return model


@pytest.fixture(scope="module")
def picture():
    torch.manual_seed(3)
    return torch.randint(0, 256, (1, 3, 180, SIDE)).float()


@pytest.fixture(scope="module")
def predictor(checkpoint, picture):
    sam = tiny_sam(seed=4)
    sam.load_state_dict(torch.load(checkpoint, weights_only=True))
    predictor = SamPredictor(sam)
    predictor.set_torch_image(picture, (180, SIDE))
    return predictor


@pytest.fixture(scope="module")
def features(loaded, picture):
    with torch.inference_mode():
        return loaded.encode(loaded.normalise(picture))


POINTS = torch.tensor([[[100.0, 50.0], [30.0, 170.0]]])
BOX = torch.tensor([[20.0, 30.0, 240.0, 150.0]])
MASK = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(5)) * 4


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize(
    "kinds", [{"points"}, {"box"}, {"mask"}, {"points", "box"}, {"points", "mask"}, {"points", "box", "mask"}]
)
def test_masks_are_those_of_segment_anythings_predictor(loaded, predictor, features, kinds, multimask):
    # its coordinates count pixel centres as whole numbers, ours are half a pixel more
    _, their_iou, theirs = predictor.predict_torch(
        point_coords=POINTS - 0.5 if "points" in kinds else None,
        point_labels=torch.tensor([[1, 0]]) if "points" in kinds else None,
        boxes=BOX - 0.5 if "box" in kinds else None,
        mask_input=MASK if "mask" in kinds else None,
        multimask_output=multimask,
    )
    points, labels = torch.zeros(1, 0, 2), torch.zeros(1, 0, dtype=torch.int64)
    if "points" in kinds:
        points, labels = POINTS, torch.tensor([[INCLUDE, EXCLUDE]])
    if "box" in kinds:
        points = torch.cat([points, BOX.view(1, 2, 2)], 1)
        labels = torch.cat([labels, torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]])], 1)
    elif "points" in kinds:
        points, labels = torch.cat([points, torch.zeros(1, 1, 2)], 1), torch.cat([labels, torch.tensor([[PAD]])], 1)
    with torch.inference_mode():
        prompt = loaded.embed_prompts(points, labels, MASK, torch.tensor(["mask" in kinds]))
        ours = loaded.decode(features.embedding, *prompt)
    which = slice(1, 4) if multimask else slice(0, 1)
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours.logits[:, which], theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.iou[:, which], their_iou, atol=1e-5, rtol=0)


def test_the_early_feature_is_what_the_first_global_block_gives(loaded, picture, features):
    encoder = loaded.backbone.image_encoder
    with torch.inference_mode():
        x = encoder.patch_embed(loaded.normalise(picture)) + encoder.pos_embed
        for block in encoder.blocks[: loaded.backbone.early_block + 1]:
            x = block(x)
    assert features.embedding.shape == (1, 256, 64, 64)
    torch.testing.assert_close(features.early, x.permute(0, 3, 1, 2))


def test_no_hook_stays_and_half_precision_comes_close(loaded, picture, features):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        half = loaded.encode(loaded.normalise(picture))
    assert not any(block._forward_hooks for block in loaded.backbone.image_encoder.blocks)
    for name, exact in features.tensors().items():
        difference = (half.tensors()[name].float() - exact).abs().mean() / exact.abs().mean()
        assert difference < 0.03, name


def test_an_encoder_that_breaks_leaves_no_hook(loaded):
    with pytest.raises(RuntimeError):
        loaded.encode(torch.zeros(1, 4, SIDE, SIDE))
    assert not any(block._forward_hooks for block in loaded.backbone.image_encoder.blocks)


@pytest.mark.parametrize("shape", [(1, 64, 64), (25, 14, 14), (3, 5, 9)])
@pytest.mark.parametrize("relative", [True, False])
def test_attention_is_segment_anythings(shape, relative):
    torch.manual_seed(0)
    stock = Attention(32, num_heads=2, use_rel_pos=relative, input_size=shape[1:]).eval()
    for parameter in stock.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(*shape, 32)
    ours = SamVitAttention(stock)
    assert ours.state_dict().keys() == stock.state_dict().keys()
    with torch.inference_mode():
        expected = stock(x)
        assert expected.std() > 0.1
        torch.testing.assert_close(ours(x), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "channels", "early_block", "millions"),
    [("vit_b", 768, 2, 93.7), ("vit_l", 1024, 5, 312.3), ("vit_h", 1280, 7, 641.1)],
)
def test_the_published_models_have_the_official_keys_and_shapes(name, channels, early_block, millions):
    with torch.device("meta"):
        official = sam_model_registry[name]().state_dict()
        model = build_sam_vit(name)
    assert {
        key.replace("backbone.image_encoder.", "image_encoder."): value.shape
        for key, value in model.state_dict().items()
    } == {key: value.shape for key, value in official.items()}
    assert isinstance(model.backbone, SamVitBackbone)
    assert model.backbone.early_channels == channels
    assert model.backbone.early_block == early_block
    assert model.input_size == 1024
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.fixture
def unfilled():
    with torch.device("meta"):
        return wrap_sam(tiny_sam())


def test_a_model_without_memory_is_filled(checkpoint, loaded, unfilled):
    assert load_sam_checkpoint(unfilled, checkpoint) == file_sha256(checkpoint)
    for key, value in loaded.state_dict().items():
        assert torch.equal(unfilled.state_dict()[key], value), key


@pytest.mark.parametrize("keep", [0, 10, 5000, -1000])
def test_a_truncated_checkpoint_is_refused(unfilled, checkpoint, tmp_path, keep):
    path = tmp_path / "cut.pth"
    path.write_bytes(checkpoint.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"cut short.*\. Fetch it again\."):
        load_sam_checkpoint(unfilled, path, remedy="Fetch it again.")
    with pytest.raises(WeightsError, match=r"should have 999\."):
        load_sam_checkpoint(unfilled, path, size=999)


def test_a_missing_or_altered_checkpoint_is_refused(unfilled, checkpoint, tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pth is not in .*Fetch it\."):
        load_sam_checkpoint(unfilled, tmp_path / "none.pth", remedy="Fetch it.")
    with pytest.raises(WeightsError, match="checksum is wrong"):
        load_sam_checkpoint(unfilled, checkpoint, sha256="0" * 64)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"model": {"a": torch.zeros(1)}}, "is no SAM checkpoint"),
        ([1, 2], "is no SAM checkpoint"),
        ({"a": torch.zeros(1)}, "not of this model"),
    ],
)
def test_other_files_are_refused(unfilled, tmp_path, content, text):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=text):
        load_sam_checkpoint(unfilled, path)


def test_another_vits_checkpoint_is_told_by_name(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 64, 64, 1024)}, path)
    with torch.device("meta"):
        model = build_sam_vit("vit_b")
    with pytest.raises(WeightsError, match="it is ViT-L, the model is ViT-B"):
        load_sam_checkpoint(model, path)


def test_code_in_a_checkpoint_is_never_run(unfilled, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    for number, write in enumerate((torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb, 2)))):
        path = tmp_path / f"{number}.pth"
        write({"a": Bomb()}, path)
        with pytest.raises(WeightsError):
            load_sam_checkpoint(unfilled, path)
    assert not (tmp_path / "exploded").exists()
