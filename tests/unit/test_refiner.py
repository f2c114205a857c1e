import json
import signal
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from sama_core.cli import main
from sama_core.data.sets import find_entries
from sama_core.files import file_sha256
from sama_core.images import Frame
from sama_core.inference import refining
from sama_core.inference.refining import Coarse, ladder, refine, refined_alpha, soft_parts
from sama_core.inference.tiles import Blend, tiles_over
from sama_core.model.refiner import Refiner, fold, spread_colours
from sama_core.training.compositing import Layer
from sama_core.training.config import RefinerConfig
from sama_core.training.config_file import save_config
from sama_core.training.refiner import Drawings, losses
from sama_core.training.refiner import Refiner as RefinerTask
from sama_core.training.refiner_batches import Batches, Examples, Pool
from sama_core.training.refiner_tiles import CHANNELS, TILE, TILES, UNTAUGHT, TileSource, cut_tiles, guess
from sama_core.training.trainer import Trainer
from sama_core.weights.files import REFINER, REFINER_SHA256, load_refiner, load_weights


def trained_looking(seed=0):
    """A network whose every layer matters, with statistics unlike those it starts with."""
    torch.manual_seed(seed)
    network = Refiner()
    torch.nn.init.normal_(network.last.weight, std=0.1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.running_mean, std=0.3)
            torch.nn.init.uniform_(module.weight, 0.5, 1)
    return network.eval()


def example(side=96, seed=1):
    """A disk's composite, its alpha, a shifted mask and the band around it, as tensors."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    rng = np.random.default_rng(seed)
    alpha = np.clip((0.3 * side - np.hypot(y - side / 2, x - side / 2)) / 4 + 0.5, 0, 1)
    mask = (np.hypot(y - side / 2 - 3, x - side / 2) < 0.3 * side).astype(np.float32)
    band = (np.abs(np.hypot(y - side / 2, x - side / 2) - 0.3 * side) < 10).astype(np.float32)
    front, back = rng.random((2, 3, 1, 1)).astype(np.float32)
    rgb = alpha * front + (1 - alpha) * back + 0.02 * rng.standard_normal((3, side, side)).astype(np.float32)
    return tuple(torch.from_numpy(part)[None] for part in (rgb.clip(0, 1), mask[None], band[None], alpha[None]))


def test_the_answer_is_one_alpha_a_pixel_and_outside_the_band_the_masks():
    rgb, mask, band, _ = example()
    with torch.no_grad():
        found = trained_looking()(rgb, mask, band)
    assert found.shape == mask.shape
    assert found.dtype == torch.float32
    assert 0 <= found.min() <= found.max() <= 1
    outside = band == 0
    assert torch.equal(found[outside], mask[outside])
    assert not torch.equal(found[~outside], mask[~outside])


def test_untrained_it_gives_the_mask_back():
    rgb, mask, band, _ = example()
    soft = 0.8 * mask + 0.1
    with torch.no_grad():
        found = Refiner().eval()(rgb, soft, band)
    assert torch.equal(found[band > 0], soft[band > 0])


def test_folding_keeps_the_function():
    network = trained_looking()
    rgb, mask, band, _ = example()
    with torch.no_grad():
        torch.testing.assert_close(fold(network)(rgb, mask, band), network(rgb, mask, band), atol=1e-4, rtol=0)


def test_the_file_that_ships_is_the_one_that_is_named():
    assert file_sha256(REFINER) == REFINER_SHA256
    assert REFINER_SHA256 in (REFINER.parents[3] / "docs" / "model-card.md").read_text()
    assert sum(path.stat().st_size for path in REFINER.parent.iterdir()) <= 25e6
    rgb, mask, band, alpha = example()
    with torch.no_grad():
        found = load_refiner()(rgb, mask, band)
    inside = band > 0
    assert (found - alpha)[inside].abs().mean() < 0.5 * (mask - alpha)[inside].abs().mean()


def test_known_colours_reach_the_unknown():
    weight = torch.zeros(1, 1, 64, 64)
    weight[..., :8] = 1
    red = torch.tensor([0.9, 0.1, 0.2])[None, :, None, None]
    grey = torch.full((1, 3, 64, 64), 0.5)
    found = spread_colours(grey, weight * red, weight)
    torch.testing.assert_close(found[..., :7], red.expand(1, 3, 64, 7), atol=1e-3, rtol=0)
    share = ((found - grey) / (red - grey)).mean((0, 1, 2))
    assert (share[8:12] > 0.6).all(), "known colours are carried on"
    assert (share[:-1] >= share[1:] - 1e-3).all(), "less and less"
    torch.testing.assert_close(spread_colours(grey, 0 * weight * red, 0 * weight), grey)


def test_training_steps_lower_the_loss_of_one_batch():
    torch.manual_seed(0)
    network = Refiner()
    rgb, mask, band, alpha = example(side=64)
    examples = Examples(rgb, mask, band, alpha, band)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    values = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = torch.stack(list(losses(network, examples, torch.device("cpu")).values())).sum()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.7 * values[0]


def test_what_is_not_taught_has_no_gradient():
    network = trained_looking()
    rgb, mask, band, alpha = example(side=64)
    nothing = torch.zeros_like(band)
    examples = Examples(rgb, mask, band, 1 - alpha, nothing)
    assert sum(losses(network, examples, torch.device("cpu")).values()) == 0


def solver_of(network):
    def solve(rgb, mask, band):
        with torch.no_grad():
            return network(
                torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255,
                torch.from_numpy(mask)[None, None],
                torch.from_numpy(band.astype(np.float32))[None, None],
            )[0, 0].numpy()

    return solve


def picture(side):
    rgb, mask, band, _ = example(side)
    pixels = np.rint(rgb[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    return pixels, Coarse((mask[0, 0].numpy() * 255).astype(np.uint8), band[0, 0].numpy() > 0)


def local_solver(rgb, mask, band):
    """A solver that looks no further than a few pixels: tiled it must give what it gives untiled."""
    return np.where(band, cv2.blur(rgb.astype(np.float32).mean(2) / 255, (9, 9)), mask > 0.5).astype(np.float32)


def test_tiles_leave_no_seam(monkeypatch):
    pixels, coarse = picture(224)
    monkeypatch.setattr(refining, "_TILE", 512)
    whole = refine(pixels, coarse, local_solver)
    monkeypatch.setattr(refining, "_TILE", 64)
    tiled = refine(pixels, coarse, local_solver)
    # a tile's own border reaches into the blend, with little weight
    assert np.abs(tiled.astype(int) - whole).max() <= 2
    assert len(np.unique(whole)) > 2


def test_outside_the_band_a_picture_keeps_its_mask():
    pixels, coarse = picture(160)
    found = refine(pixels, coarse, solver_of(trained_looking()))
    np.testing.assert_array_equal(found[~coarse.band], coarse.mask[~coarse.band])
    assert (found[coarse.band] != coarse.mask[coarse.band]).any()


def test_a_blend_writes_each_pixel_once_and_holds_little():
    result = np.zeros((300, 200), np.uint8)
    blend = Blend(result, lambda index: np.ones(result[index].shape, bool))
    most = 0
    for tile in tiles_over(result.shape, 64, 16):
        shape = [part.stop - part.start for part in tile.outer]
        blend.add(tile, (slice(0, shape[0]), slice(0, shape[1])), np.full(shape, 0.4, np.float32))
        most = max(most, blend.held)
    blend.finish()
    assert (result == 102).all()
    assert most <= 2 * (64 + 2 * 16)


@pytest.mark.parametrize("full", [(300, 200), (1536, 1000), (2000, 3000), (6336, 9504)])
def test_scales_grow_by_at_most_three_up_to_the_photos_own(full):
    sizes = ladder(full)
    assert sizes[-1] == full
    assert max(sizes[0]) <= refining.FIRST_SIDE
    for before, after in pairwise(sizes):
        assert 1 < after[0] / before[0] <= refining._STEP * 1.01


def test_a_large_photo_is_refined_at_growing_scales_and_within_bounds(monkeypatch):
    monkeypatch.setattr(refining, "FIRST_SIDE", 256)
    sizes = []

    def spy(rgb, mask, band):
        sizes.append(rgb.shape[:2])
        return np.where(band, np.clip((rgb[..., 0].astype(np.float32) - 40) / 170, 0, 1), mask > 0.5)

    side = 1200
    y, x = np.mgrid[:side, :side]
    alpha = np.clip((330 - np.hypot(y - 600, x - 600)) / 12 + 0.5, 0, 1)
    rgb = np.repeat((40 + 170 * alpha)[..., None], 3, 2).astype(np.uint8)
    logits = ((Frame(side, side, 512).mask_to_low_res(alpha > 0.5) - 0.5) * 10).astype(np.float32)
    found = refined_alpha(Frame(side, side, 512), logits, rgb, spy)
    assert found.shape == (side, side)
    assert np.abs(found / 255 - alpha).mean() < 0.002
    assert max(max(size) for size in sizes) <= 352
    monkeypatch.setattr(refining, "MAX_PIXELS", 0)
    bounded = refined_alpha(Frame(side, side, 512), logits, rgb, spy)
    assert bounded.shape == (side, side)
    assert np.abs(bounded / 255 - alpha).mean() < 0.01


@pytest.mark.parametrize("value", [-9.0, 9.0])
def test_all_or_nothing_needs_no_network(value):
    rgb = np.zeros((90, 120, 3), np.uint8)

    def never(*_):
        raise AssertionError

    found = refined_alpha(Frame(90, 120, 512), np.full((256, 256), value, np.float32), rgb, never)
    assert set(np.unique(found)) == {255 if value > 0 else 0}


def test_soft_parts_are_the_soft_pixels_and_the_hard_edges():
    alpha = np.zeros((40, 40), np.uint8)
    alpha[10:20] = 255
    alpha[30, 30] = 99
    band = soft_parts(alpha).band
    assert band[9:11].all()
    assert band[19:21].all()
    assert band[30, 30]
    assert not band[2:7].any()
    assert not band[14:16].any()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six small photos of a blob, with masks."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    lines = ["set,name,split"]
    for part in ("images", "masks"):
        (root / "made" / part).mkdir(parents=True)
    for number in range(6):
        noise = cv2.GaussianBlur(rng.integers(0, 255, (200, 260, 3)).astype(np.uint8), (0, 0), 2)
        y, x = np.mgrid[:200, :260]
        mask = np.hypot(y - 100, (x - 130) * 0.8) < 60 + 5 * number
        noise[mask] = noise[mask] // 2 + np.array([120, 20 * number, 40], np.uint8)
        Image.fromarray(noise).save(root / "made" / "images" / f"{number}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / "made" / "masks" / f"{number}.png")
        lines.append(f"made,{number},train")
    (root / "split.csv").write_text("\n".join(lines) + "\n")
    return root


def test_tiles_hold_what_they_say_and_depend_on_the_seed_alone(data):
    source = TileSource(find_entries(data, "train"))
    made, again = (source.make(np.random.default_rng((1, 2))) for _ in range(2))
    np.testing.assert_array_equal(made.tiles, again.tiles)
    assert made.tiles.shape == (TILES, CHANNELS, TILE, TILE)
    assert set(np.unique(made.tiles[:, 5])) <= {0, UNTAUGHT, 255}
    assert (made.tiles[:, 5] > 0).reshape(TILES, -1).any(1).all()


def test_a_photo_as_it_is_teaches_nothing_at_its_masks_edge():
    alpha = np.zeros((400, 400), np.float32)
    alpha[100:300, 100:300] = 1
    taught = np.ones(alpha.shape, bool)
    taught[90:110] = False
    tiles = cut_tiles(Layer(np.zeros((400, 400, 3), np.uint8), alpha), np.random.default_rng(0), taught)
    assert tiles is not None
    assert (tiles[:, 6] == 255).all()
    assert (tiles[:, 5] == UNTAUGHT).any()


@pytest.mark.parametrize("seed", range(12))
def test_a_guess_is_certain_outside_its_band(seed):
    y, x = np.mgrid[:300, :300]
    alpha = np.clip((90 - np.hypot(y - 150, x - 150)) / 8 + 0.5, 0, 1).astype(np.float32)
    mask, band = guess(alpha, np.random.default_rng(seed))
    assert mask.shape == band.shape == alpha.shape
    assert 0 <= mask.min() <= mask.max() <= 1
    assert band.any()
    # mostly right where it claims to know
    assert np.abs((mask > 0.5) - alpha)[~band].mean() < 0.05


def test_a_batch_is_a_composite_of_its_pool(data):
    drawings, device = Drawings(find_entries(data, "train"), 1), torch.device("cpu")
    made = [drawings[number] for number in range(3)]
    pool, later = Pool(2, device), Pool(2, device)
    pool.add(made)
    later.begin(1)
    later.add(made[1:])
    assert pool.tiles.shape == (2 * TILES, CHANNELS, TILE, TILE)
    np.testing.assert_array_equal(pool.tiles[:TILES], made[2].tiles)
    one, other = (Batches(each, 4, 64, 5, device).draw(7) for each in (pool, later))
    for part, same in zip(one, other, strict=True):
        assert torch.equal(part, same)
        assert torch.isfinite(part).all()
        assert 0 <= part.min() <= part.max() <= 1
    assert one.rgb.shape == (4, 3, 64, 64)
    assert (one.taught <= one.band).all()
    assert not torch.equal(one.rgb, Batches(pool, 4, 64, 5, device).draw(8).rgb)


def test_a_photo_that_cannot_be_read_is_passed_over(data, monkeypatch):
    drawings = Drawings(find_entries(data, "train"), 1)
    make, failures = drawings._source.make, [OSError("no such photo")]

    def sometimes(rng):
        if failures:
            raise failures.pop()
        return make(rng)

    monkeypatch.setattr(drawings._source, "make", sometimes)
    assert drawings[0].tiles.shape[0] == TILES
    failures += [OSError("no such photo")] * 9
    with pytest.raises(OSError, match="no such photo"):
        drawings[0]


CONFIG = RefinerConfig(
    steps=4, batch=2, crop=64, first_drawings=1, fresh=1, pool=2, check=1, warmup=1, checkpoint_every=3, workers=0
)


def trainer(data, folder) -> Trainer:
    cpu = torch.device("cpu")
    return Trainer(RefinerTask(find_entries(data, "train"), CONFIG, cpu), CONFIG, folder, cpu)


def test_a_resumed_run_goes_on_bit_for_bit(data, tmp_path):
    """Past the pool's capacity, so that a resumed run has to draw again what was in it."""
    assert trainer(data, tmp_path / "whole").run()
    cut = trainer(data, tmp_path / "cut")
    learn = cut.train_step

    def stopped(batch):
        if cut.step == 2:
            signal.raise_signal(signal.SIGINT)
        return learn(batch)

    cut.train_step = stopped  # type: ignore[method-assign]
    assert not cut.run()
    assert cut.step == 3
    assert trainer(data, tmp_path / "cut").run()
    whole, resumed = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "cut"))
    assert whole["step"] == resumed["step"] == 4
    for part in ("model", "ema"):
        assert [name for name, tensor in whole[part].items() if not torch.equal(tensor, resumed[part][name])] == []
    curves = []
    for name in ("whole", "cut"):
        rows = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        curves.append([(row["step"], row["l1"], row["gradient"]) for row in rows if "l1" in row])
    assert curves[0] == curves[1]


def test_the_command_line_trains_and_leaves_weights_that_load(data, tmp_path, capsys):
    command = ["train", "refiner", "--data", str(data), "--run", str(tmp_path / "run")]
    save_config(CONFIG.model_copy(update={"steps": 1}), tmp_path / "recipe.toml")
    assert main([*command, "--config", str(tmp_path / "recipe.toml"), "--workers", "1"]) == 0
    assert "Step 0 of 1 on cpu" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 1]
    assert all(np.isfinite(row["check"]) for row in rows if "check" in row)
    about = load_weights(Refiner(folded=True), tmp_path / "run/ema.safetensors")
    assert json.loads(about["training"])["steps"] == 1
    assert main([*command, "--crop", "100"]) == 2
    assert "The command line: crop must be a multiple of 32, not 100." in capsys.readouterr().err
