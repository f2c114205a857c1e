"""The training loop of SAMA's modules, on a SAM small enough to be quick."""

import dataclasses

import numpy as np
import pytest
import torch
from test_sama import TinyBackbone

from sama_core.model.sam import PromptableSam
from sama_core.model.sama import Task
from sama_core.model.sama_config import SamaConfig
from sama_core.training.sama_config import SamaTrainConfig
from sama_core.training.sama_loop import SamaTrainer
from sama_core.training.samples import ViewSample

MODULES = SamaConfig(
    local_dim=16, inner_dim=16, heads=1, mvle_ffn_dim=16, adapter_ffn_dim=0, head_channels=(8,), detail_channels=4
)
CONFIG = SamaTrainConfig(
    modules=MODULES, steps=4, batch=2, target_side=128, learning_rate=1e-3, precision="float32", workers=0,
    checkpoint_every=2, sample_every=2,
)  # fmt: skip


class Disks:
    """A bright disk on noise."""

    def __init__(self, task: Task) -> None:
        self.task: Task = task

    def sample(self, rng: np.random.Generator) -> ViewSample:
        y, x = np.mgrid[:256, :256]
        cx, cy = rng.uniform(80, 170, 2)
        disk = (x - cx) ** 2 + (y - cy) ** 2 < 50**2
        pixels = rng.integers(0, 90, (256, 256, 3)).astype(np.uint8)
        pixels[disk] += 150
        target = disk.reshape(128, 2, 128, 2).mean((1, 3)) * 255
        return ViewSample(pixels, 256, 256, target.astype(np.uint8), np.ones((128, 128), bool), self.task)


def trainer(folder, config=CONFIG) -> SamaTrainer:
    torch.manual_seed(5)
    sam = PromptableSam(TinyBackbone())
    return SamaTrainer(sam, {task: Disks(task) for task in config.tasks}, config, folder, torch.device("cpu"))


def test_a_resumed_run_goes_on_bit_for_bit(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.run()
    cut = trainer(tmp_path / "cut")
    batches = cut._batches()
    for _ in range(2):
        cut._train_step(next(batches))
    cut.save()
    resumed = trainer(tmp_path / "cut")
    assert resumed.step == 2
    resumed.run()
    for one, other in ((whole.model.sama.state_dict(), resumed.model.sama.state_dict()), (whole.ema, resumed.ema)):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    moments = [t.optimizer.state_dict()["state"] for t in (whole, resumed)]
    for number, state in moments[0].items():
        assert all(torch.equal(value, moments[1][number][name]) for name, value in state.items())


def test_tasks_take_turns_and_leave_the_other_head_and_sam_alone(tmp_path):
    run = trainer(tmp_path)
    batches = run._batches()
    for task, other in (("segmentation", "matting"), ("matting", "segmentation")):
        before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
        row, _, _ = run._train_step(next(batches))
        assert row["task"] == task
        changed = {name for name, tensor in run.model.state_dict().items() if not torch.equal(tensor, before[name])}
        assert any(name.startswith(f"sama.heads.{task}.") for name in changed)
        assert f"sama.tokens.{task}" in changed
        assert not any(f".{other}" in name or name.startswith("sam.") for name in changed)


@pytest.mark.parametrize("switch", ["mvle", "adapter"])
def test_ablations_train(tmp_path, switch):
    config = dataclasses.replace(CONFIG, modules=dataclasses.replace(MODULES, **{switch: False}), steps=2)
    run = trainer(tmp_path, config)
    run.run()
    assert run.step == 2


def test_a_run_leaves_its_recipe_its_curves_and_pictures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from sama_core.training.config_file import load_config

    trainer(tmp_path).run()
    assert load_config(tmp_path / "config.toml", SamaTrainConfig) == CONFIG
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"segmentation/bce", "segmentation/iou", "matting/gradient", "matting/laplacian"} <= set(
        events.Tags()["scalars"]
    )
    assert events.Tags()["images"]
    assert len(list((tmp_path / "samples").iterdir())) >= 2
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def test_the_recipes_that_ship_can_be_read():
    from pathlib import Path

    import sama_core.training as package
    from sama_core.model.sama_config import LITE
    from sama_core.training.config_file import load_config

    folder = Path(package.__file__).parent / "recipes"
    recipes = {path.stem: load_config(path, SamaTrainConfig) for path in folder.glob("*.toml")}
    assert set(recipes) == {"lite", "paper-vit-l"}
    assert recipes["lite"].modules == LITE
    assert not recipes["paper-vit-l"].modules.fine_views
