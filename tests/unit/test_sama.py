"""Invariants of SAMA on a frozen SAM (shapes and switches of the paper, with a backbone small enough to be quick)."""

import dataclasses

import pytest
import torch
from torch import nn

from sama_core.model.backbones.base import Features
from sama_core.model.heads import Head, fold
from sama_core.model.sam import PromptableSam
from sama_core.model.sama import TASKS, Sama, SamaModules, edges_of, follow_edges
from sama_core.model.sama_config import LITE, SamaConfig
from sama_core.model.views import (
    enlarge_input,
    quarter,
    quarter_tokens,
    stand_in,
    tile,
    tile_tokens,
    to_maps,
    to_tokens,
)
from sama_core.prompts import EXCLUDE, INCLUDE, PAD

PAPER = SamaConfig(inner_dim=64, heads=2, mvle_ffn_dim=32, adapter_ffn_dim=32, head_channels=(8, 8))


class TinyBackbone(nn.Module):
    """Two convolutions to SAM's grid."""

    input_size = 128
    early_channels = 6
    pixel_mean = (120.0, 120.0, 120.0)
    pixel_std = (60.0, 60.0, 60.0)

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.neck = nn.Conv2d(6, 256, 1)
        self.batches: list[int] = []

    def forward(self, x: torch.Tensor) -> Features:
        self.batches.append(len(x))
        early = self.early(x)
        return Features(self.neck(early), early)


def make(config: SamaConfig) -> Sama:
    torch.manual_seed(0)
    sam = PromptableSam(TinyBackbone())
    return Sama(sam, SamaModules(config, TinyBackbone.early_channels))


def views(batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    fine = torch.randn(batch, 3, 256, 256, generator=generator)
    return nn.functional.avg_pool2d(fine, 2), fine


POINTS = torch.tensor([[[30.0, 40.0], [90.0, 100.0], [0.0, 0.0]]])
LABELS = torch.tensor([[INCLUDE, EXCLUDE, PAD]])


def prompt(model: Sama, batch: int = 1):
    no_mask = torch.zeros(batch, 1, 256, 256), torch.zeros(batch, dtype=torch.bool)
    return model.sam.embed_prompts(POINTS.expand(batch, -1, -1), LABELS.expand(batch, -1), *no_mask)


def decode(model: Sama, task, batch: int = 1):
    x, fine = views(batch)
    features = model.encode(x, fine)
    sparse, dense = prompt(model, batch)
    stock = model.sam.decode(features.embedding, sparse, dense)
    local = model.local_tokens(features)
    points, labels = POINTS.expand(batch, -1, -1), LABELS.expand(batch, -1)
    return stock, model.decode(
        task, features.embedding, local, sparse, dense, stock.logits[:, :1], points, labels, fine
    )


def test_quadrants_come_in_reading_order_and_go_back():
    maps = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).view(2, 3, 4, 6)
    quadrants = quarter(maps)
    assert quadrants.shape == (2, 4, 3, 2, 3)
    assert torch.equal(quadrants[:, 1], maps[:, :, :2, 3:])
    assert torch.equal(quadrants[:, 2], maps[:, :, 2:, :3])
    assert torch.equal(tile(quadrants), maps)


def test_tokens_of_quadrants_are_tokens_of_quartered_maps():
    maps = torch.randn(2, 5, 8, 8)
    tokens = maps.flatten(2).transpose(1, 2)
    assert torch.equal(quarter_tokens(tokens), to_tokens(quarter(maps)))
    assert torch.equal(tile_tokens(quarter_tokens(tokens)), tokens)
    assert torch.equal(to_maps(to_tokens(quarter(maps))), quarter(maps))


def test_the_papers_local_views_are_each_quadrant_enlarged_on_its_own():
    x = torch.randn(1, 3, 8, 8)
    expected = nn.functional.interpolate(x[:, :, :4, 4:], scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.equal(quarter(enlarge_input(x))[:, 1], expected)


def test_the_context_of_a_region_is_pooled_at_three_scales():
    mvle = make(PAPER).sama.mvle
    assert mvle is not None
    maps = torch.randn(1, 256, 64, 64)
    context = mvle.context(maps)
    assert context.shape == (1, 4, 64 + 16 + 4, 256)
    torch.testing.assert_close(context[0, 3, -1], maps[0, :, 48:, 48:].mean((1, 2)))
    torch.testing.assert_close(context[0, 1, 0], maps[0, :, :4, 32:36].mean((1, 2)))


@pytest.mark.parametrize("config", [PAPER, LITE], ids=["paper", "lite"])
def test_shapes_are_those_of_the_paper(config):
    model = make(config).eval()
    x, fine = views(2)
    with torch.inference_mode():
        features = model.encode(x, fine)
        local = model.local_tokens(features)
        _, decoded = decode(model, "matting", batch=2)
    assert features.embedding.shape == (2, 256, 64, 64)
    assert features.local.shape == (2, 4, 256, 64, 64)
    assert features.local_early.shape == (2, 4, 6, 64, 64)
    assert local is not None and local.shape == (2, 4, 4096, config.local_dim)
    assert decoded.hidden.shape == (2, 5 + 1 + 3, 256)
    assert decoded.image.shape == (2, 4096, 256)
    assert decoded.logits.shape == (2, 1, 512, 512)


def test_an_untrained_sama_gives_stock_sams_masks():
    model = make(PAPER).eval()
    with torch.inference_mode():
        stock, decoded = decode(model, "segmentation")
        ours = model.sam_logits(decoded)
    torch.testing.assert_close(ours, stock.logits, atol=1e-5, rtol=1e-5)


def test_a_plainly_concatenated_token_disturbs_sams_masks():
    """Why the token is isolated: the same decoder with the token in everyone's sight answers something else."""
    model = make(dataclasses.replace(PAPER, isolated_token=False)).eval()
    with torch.inference_mode():
        stock, decoded = decode(model, "segmentation")
        ours = model.sam_logits(decoded)
    assert (ours - stock.logits).abs().max() > 1e-4


@pytest.mark.parametrize("task", TASKS)
def test_an_untrained_residual_head_answers_as_stock_sam(task):
    model = make(dataclasses.replace(LITE, guided_radius=0)).eval()
    with torch.inference_mode():
        stock, decoded = decode(model, task)
    expected = nn.functional.interpolate(stock.logits[:, :1], size=512, mode="bilinear", align_corners=False)
    torch.testing.assert_close(decoded.logits, expected, atol=1e-5, rtol=1e-5)


def test_the_bundled_heads_begin_at_stock_sams_mask_on_the_pictures_edges():
    model = make(LITE).eval()
    with torch.inference_mode():
        stock, decoded = decode(model, "segmentation")
        start = nn.functional.interpolate(stock.logits[:, :1], size=512, mode="bilinear", align_corners=False)
        expected = torch.logit(follow_edges(start, views()[1], LITE.guided_radius))
    torch.testing.assert_close(decoded.logits, expected, atol=1e-5, rtol=1e-5)


def test_the_start_of_the_heads_follows_the_pictures_edge_and_ignores_padding():
    """A mask whose edge is four cells off is pulled to the edge of a two-coloured picture, grey though it is."""
    fine = torch.zeros(1, 3, 512, 512)
    fine[..., :400, :300] = -0.5
    fine[..., :400, 300:] = 0.5
    columns = torch.arange(256) + 0.5
    logits = ((150 - 4 - columns) * 2).clamp(-8, 8).expand(1, 1, 256, 256)
    alpha = follow_edges(logits, fine, 12)
    assert alpha[0, 0, :200, 140:149].min() > 0.6
    assert alpha[0, 0, :200, 152:].max() < 0.1
    masked = logits.clone()
    masked[..., 200:, :] = 8
    torch.testing.assert_close(follow_edges(masked, fine, 12)[..., :200, :], alpha[..., :200, :])


@pytest.mark.parametrize("window", [(0, 40, 24, 64), (48, 128, 0, 128), (64, 72, 112, 120)])
def test_a_window_of_a_trained_heads_answer_is_that_of_the_whole(window):
    """The last layers of an untrained head say nothing, so they are drawn at random here."""
    model = make(LITE).eval()
    for head in model.sama.heads.values():
        nn.init.normal_(head.token_mlp[-1].weight, std=0.1)  # type: ignore[index,union-attr]
    top, bottom, left, right = window
    x, fine = views()
    with torch.inference_mode():
        features = model.encode(x, fine)
        sparse, dense = prompt(model)
        stock = model.sam.decode(features.embedding, sparse, dense).logits[:, :1]
        seen = model.seen(features.embedding, model.local_tokens(features), fine)
        ask = ("segmentation", seen, sparse, dense, stock, POINTS, LABELS)
        whole = model.answer(*ask).logits  # type: ignore[arg-type]
        part = model.answer(*ask, window=(slice(top, bottom), slice(left, right))).logits  # type: ignore[arg-type]
    place = (..., slice(4 * top, 4 * bottom), slice(4 * left, 4 * right))
    assert whole.std() > 0.01
    torch.testing.assert_close(part[place], whole[place], atol=1e-3, rtol=0)
    part = part.clone()
    part[place] = -6
    assert part.max() < -5


def test_a_folded_head_answers_as_the_trained_one_did():
    torch.manual_seed(3)
    head = Head(dim=8, features_dim=6, channels=(5, 7), prior_channels=3, detail_channels=4, polish=1)
    maps = torch.randn(2, 6, 16, 16), torch.randn(2, 8), torch.randn(2, 3, 32, 32)
    details = torch.randn(2, 3, 64, 64), torch.randn(2, 1, 64, 64)
    for _ in range(3):  # the normalisations learn their statistics
        head(*maps, details)
    head.eval()
    with torch.inference_mode():
        expected = head(*maps, details)
        together = head(*maps, [torch.cat(details, 1)])
        fold(head)
        folded = head(*maps, details)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in head.modules())
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(folded, expected, atol=1e-5, rtol=1e-4)


def test_a_window_of_a_mask_that_follows_edges_is_that_of_the_whole():
    generator = torch.Generator().manual_seed(5)
    fine = torch.randn(1, 3, 256, 256, generator=generator)
    fine[..., 200:] = 0
    mask = torch.rand(1, 1, 128, 128, generator=generator)
    edges = edges_of(fine, 128, 12)
    whole = edges(mask)
    for rows, columns in (
        (slice(0, 30), slice(40, 90)),
        (slice(60, 128), slice(98, 128)),
        (slice(62, 64), slice(2, 6)),
    ):
        torch.testing.assert_close(edges(mask, (rows, columns)), whole[..., rows, columns], atol=1e-5, rtol=1e-4)


def test_the_local_views_reach_the_answer_through_the_adapters():
    model = make(PAPER).eval()
    for adapter in model.sama.adapters:
        nn.init.normal_(adapter.to_local.out_proj.weight, std=0.1)  # type: ignore[union-attr]
    x, fine = views()
    changed = fine.clone()
    changed[..., 128:, :128] += torch.randn(3, 128, 128)
    with torch.inference_mode():
        sparse, dense = prompt(model)
        images = []
        for picture in (fine, changed):
            features = model.encode(x, picture)
            local = model.local_tokens(features)
            images.append(model.decode("matting", features.embedding, local, sparse, dense).image)
    moved = (images[0] - images[1]).abs().amax(-1).view(64, 64)
    assert moved[32:, :32].mean() > 10 * moved[:32, 32:].mean()


@pytest.mark.parametrize("task", TASKS)
def test_a_step_trains_its_own_head_and_the_shared_modules_and_nothing_else(task):
    model = make(PAPER).train()
    for adapter in model.sama.adapters:
        nn.init.normal_(adapter.to_local.out_proj.weight, std=0.02)  # type: ignore[union-attr]
    before = {name: tensor.clone() for name, tensor in model.sam.state_dict().items()}
    _, decoded = decode(model, task)
    decoded.logits.square().mean().backward()
    other = next(t for t in TASKS if t != task)
    assert all(p.grad is None for p in model.sam.parameters())
    assert all(p.grad is None for p in model.sama.heads[other].parameters())
    assert model.sama.tokens[other].grad is None
    unreached = [
        name
        for name, p in model.sama.named_parameters()
        if f".{other}" not in name and (p.grad is None or not p.grad.abs().any())
    ]
    # a key's bias shifts all scores of a query alike, so softmax takes it away
    assert [name for name in unreached if not name.endswith("k_proj.bias")] == []
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.sam.state_dict().items())


def test_the_frozen_sam_stays_in_evaluation_mode():
    model = make(PAPER).train()
    assert model.sama.training
    assert not any(module.training for module in model.sam.modules())


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_chunks_change_the_batches_and_not_the_features(chunk):
    model = make(PAPER).eval()
    x, fine = views(2)
    with torch.inference_mode():
        whole = model.encode(x, fine, chunk=5)
        backbone = model.sam.backbone
        assert isinstance(backbone, TinyBackbone)
        backbone.batches.clear()
        parts = model.encode(x, fine, chunk=chunk)
    assert sum(backbone.batches) == 10
    assert max(backbone.batches) == 2 * chunk
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other)


def test_a_quadrant_left_out_is_seen_through_the_global_view():
    model = make(PAPER).eval()
    x, fine = views()
    with torch.inference_mode():
        everything = model.encode(x, fine)
        backbone = model.sam.backbone
        assert isinstance(backbone, TinyBackbone)
        backbone.batches.clear()
        some = model.encode(x, fine, reached=(True, False, False, True))
    assert sum(backbone.batches) == 3
    torch.testing.assert_close(some.local[:, 0], everything.local[:, 0])
    torch.testing.assert_close(some.local_early[:, 3], everything.local_early[:, 3])
    torch.testing.assert_close(some.local[:, 2], stand_in(everything.embedding)[:, 2])


@pytest.mark.parametrize(("mvle", "adapter"), [(False, False), (False, True), (True, False)])
def test_ablations_leave_their_modules_out(mvle, adapter):
    config = dataclasses.replace(PAPER, mvle=mvle, adapter=adapter)
    model = make(config).train()
    _, decoded = decode(model, "segmentation")
    decoded.logits.mean().backward()
    assert (model.sama.mvle is not None) == mvle
    assert len(model.sama.adapters) == 2 * adapter
    trained = [n for n, p in model.sama.named_parameters() if ".matting" not in n and p.grad is not None]
    assert len(trained) == sum(".matting" not in n for n, _ in model.sama.named_parameters())
