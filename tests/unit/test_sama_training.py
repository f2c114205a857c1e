"""Training of SAMA's modules: the loop on a SAM small enough to be quick, and the command line on the bundled one."""

import dataclasses
import itertools
import os
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_sama import TinyBackbone
from torch.multiprocessing.spawn import spawn

import sama_core.training as package
from sama_core.cli import main
from sama_core.errors import ConfigError, DatasetError
from sama_core.model.sam import PromptableSam
from sama_core.model.sama import Sama
from sama_core.model.sama_config import LITE, SamaConfig
from sama_core.training import distributed
from sama_core.training.config import DataSet, MattingMix, ModulesConfig, OwnData, OwnSet
from sama_core.training.config_file import load_config, save_config
from sama_core.training.modules import Modules, Provenance, _to_edges, export_run, start_from
from sama_core.training.sama_data import open_sources
from sama_core.training.samples import ViewSample
from sama_core.training.trainer import Trainer
from sama_core.weights import registry
from sama_core.weights.adapter import load_adapter

MODULES = SamaConfig(
    local_dim=16, inner_dim=16, heads=1, mvle_ffn_dim=16, adapter_ffn_dim=0, head_channels=(8,), detail_channels=4
)
CONFIG = ModulesConfig(
    modules=MODULES, steps=4, batch=1, target_side=128, learning_rate=1e-3, precision="float32", workers=0,
    checkpoint_every=2, sample_every=2,
)  # fmt: skip


def config_with(config: ModulesConfig = CONFIG, **settings) -> ModulesConfig:
    return ModulesConfig(**{**dict(config), **settings})


DATA: list[dict[str, str | int]] = [{"set": "disks", "split": "train", "task": "matting", "targets": 7}]


class Disks:
    """A bright disk on noise."""

    def __init__(self, task: str) -> None:
        self.task = task

    def sample(self, rng: np.random.Generator) -> ViewSample:
        y, x = np.mgrid[:256, :256]
        cx, cy = rng.uniform(80, 170, 2)
        disk = (x - cx) ** 2 + (y - cy) ** 2 < 50**2
        pixels = rng.integers(0, 90, (256, 256, 3)).astype(np.uint8)
        pixels[disk] += 150
        target = disk.reshape(128, 2, 128, 2).mean((1, 3)) * 255
        return ViewSample(pixels, 256, 256, target.astype(np.uint8), np.ones((128, 128), bool), self.task)


class Interrupted(Disks):
    """Disks, and a Ctrl-C while the third is drawn."""

    drawn = 0

    def sample(self, rng: np.random.Generator) -> ViewSample:
        Interrupted.drawn += 1
        if Interrupted.drawn == 3:
            signal.raise_signal(signal.SIGINT)
        return super().sample(rng)


def trainer(folder, config=CONFIG, source=Disks, **others) -> Trainer:
    torch.manual_seed(5)
    sam, cpu = PromptableSam(TinyBackbone()), torch.device("cpu")
    task = Modules(sam, {task: source(task) for task in config.tasks}, config, cpu, **others)
    return Trainer(task, config, folder, cpu)


def network(run: Trainer) -> Sama:
    """The whole of what a run trains a part of."""
    assert isinstance(run.task, Modules)
    return run.task.sama


def assert_same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert set(one) == set(other)
    assert [name for name, tensor in one.items() if not torch.equal(tensor, other[name])] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Trainer:
    """A run that was not interrupted."""
    run = trainer(tmp_path_factory.mktemp("whole"), provenance=Provenance("ab" * 32, DATA))
    assert run.run()
    return run


def test_a_resumed_run_goes_on_bit_for_bit(tmp_path, whole):
    cut = trainer(tmp_path / "cut", config_with(steps=2))
    assert cut.run()
    resumed = trainer(tmp_path / "cut")
    assert resumed.step == 2
    resumed.run()
    assert_same_weights(whole.task.model.state_dict(), resumed.task.model.state_dict())
    assert_same_weights(whole.ema, resumed.ema)
    moments = [t.optimizer.state_dict()["state"] for t in (whole, resumed)]
    assert moments[0].keys() == moments[1].keys()
    for number, state in moments[0].items():
        assert_same_weights(state, moments[1][number])


def test_ctrl_c_ends_the_step_in_hand_and_the_run_goes_on_from_there(tmp_path, whole):
    before = signal.getsignal(signal.SIGINT)
    cut = trainer(tmp_path / "cut", source=Interrupted)
    assert not cut.run()
    assert cut.step == 3
    assert signal.getsignal(signal.SIGINT) is before
    resumed = trainer(tmp_path / "cut")
    assert resumed.step == 3
    assert resumed.run()
    assert_same_weights(whole.ema, resumed.ema)


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 2e-3), ("batch", 3), ("modules", LITE), ("data", (DataSet(root=Path("data/DIS5K")),))],
)
def test_a_run_is_not_resumed_with_another_recipe(tmp_path, name, value):
    run = trainer(tmp_path)
    run.save()
    with pytest.raises(ConfigError, match=rf"another recipe: {name} differ from its config\.toml\. Choose another"):
        trainer(tmp_path, config_with(**{name: value}))
    assert load_config(tmp_path / "config.toml", ModulesConfig) == CONFIG


def test_a_resumed_run_may_be_longer_and_write_more_often(tmp_path):
    trainer(tmp_path).save()
    changed = config_with(steps=9, schedule="cosine", checkpoint_every=5, sample_every=7, workers=2)
    trainer(tmp_path, changed)
    assert load_config(tmp_path / "config.toml", ModulesConfig) == changed


def test_a_run_is_not_resumed_on_other_weights_of_the_sam(tmp_path):
    trainer(tmp_path, provenance=Provenance("ab" * 32)).save()
    with pytest.raises(ConfigError, match="other weights of “vit_l”"):
        trainer(tmp_path, provenance=Provenance("cd" * 32))


def test_tasks_take_turns_and_leave_the_other_head_and_sam_alone(tmp_path):
    """The other head's running statistics included."""
    run = trainer(tmp_path)
    batches = iter(run.task.batches(0))
    for task, other in (("segmentation", "matting"), ("matting", "segmentation")):
        before = {name: tensor.clone() for name, tensor in network(run).state_dict().items()}
        row = run.train_step(next(batches)).row
        assert row["task"] == task
        changed = {name for name, tensor in network(run).state_dict().items() if not torch.equal(tensor, before[name])}
        assert any(name.startswith(f"sama.heads.{task}.") for name in changed)
        assert any(f"heads.{task}." in name and "running_mean" in name for name in changed)
        assert f"sama.tokens.{task}" in changed
        assert not any(f".{other}" in name or name.startswith("sam.") for name in changed)


def test_a_head_may_be_trained_alone(tmp_path):
    """With `heads_only` nothing moves but the task's own token and head, running statistics included."""
    config = config_with(tasks=("matting",), heads_only=True, steps=2)
    run = trainer(tmp_path, config)
    before = {name: tensor.clone() for name, tensor in run.task.model.state_dict().items()}
    run.run()
    moved = {name for name, tensor in run.task.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.rsplit(".", 1)[0] for name in moved} >= {"tokens", "heads.matting.token_mlp.2"}
    assert all(name.startswith(("tokens.matting", "heads.matting.")) for name in moved), moved


def test_annotated_masks_become_alphas_at_the_pictures_edges():
    """A mask drawn two pixels off is pulled to the edge of the picture; far from it nothing is in doubt."""
    fine = torch.full((1, 3, 1024, 1024), -0.5)
    fine[..., 600:] = 0.5
    mask = torch.zeros(1, 1, 512, 512)
    mask[..., 302:] = 1
    alpha = _to_edges(mask, fine)
    assert alpha[..., 300:].min() > 0.5
    assert alpha[..., :300].max() < 0.1
    assert alpha[..., 330:].min() == 1
    assert alpha[..., :270].max() == 0


def train_in_one_of_two(rank: int, folder: Path, port: int) -> None:
    """What torchrun starts, for two processes on the CPU."""
    torch.set_num_threads(1)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
        "RANK": str(rank), "LOCAL_RANK": str(rank),
    }  # fmt: skip
    with distributed.joined("cpu"):
        run = trainer(folder, config_with(steps=2))
        run.run()
        torch.save({**run.task.model.state_dict()}, folder / f"rank{rank}.pt")
        torch.save(run.ema, folder / f"ema{rank}.pt")


def test_two_processes_hold_the_same_weights_those_of_the_mean_gradient(tmp_path):
    """The reference takes both processes' gradients in one process; normalisation is by each one's own samples."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(train_in_one_of_two, (tmp_path, port), nprocs=2)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    assert_same_weights(*ranks)
    assert_same_weights(*(torch.load(tmp_path / f"ema{rank}.pt") for rank in range(2)))
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    assert_same_weights(ranks[0], torch.load(tmp_path / "last.pt")["model"])

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    runs = [trainer(tmp_path / str(rank), config_with(steps=2)) for rank in range(2)]
    first, second = runs
    for rank, run in enumerate(runs):
        assert isinstance(run.task, Modules)
        run.task.rank, run.task.processes = rank, 2
    for step, batches in enumerate(zip(*(itertools.islice(run.task.batches(0), 2) for run in runs), strict=True)):
        for run, samples in zip(runs, batches, strict=True):
            run.optimizer.zero_grad()
            run.task.gradients(samples, step)
        for one, other in zip(first.task.model.parameters(), second.task.model.parameters(), strict=True):
            if one.grad is not None and other.grad is not None:
                one.grad = (one.grad + other.grad) / 2
        for one, other in zip(first.task.running_statistics(), second.task.running_statistics(), strict=True):
            one.copy_((one + other) / 2)
        first.update()
        second.task.model.load_state_dict(first.task.model.state_dict())
    torch.set_num_threads(threads)
    for name, tensor in first.task.model.state_dict().items():
        torch.testing.assert_close(ranks[0][name], tensor, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("switch", ["mvle", "adapter"])
def test_ablations_train(tmp_path, switch):
    config = config_with(modules=dataclasses.replace(MODULES, **{switch: False}), steps=2)
    run = trainer(tmp_path, config)
    run.run()
    assert run.step == 2


def test_a_run_leaves_its_recipe_its_curves_and_pictures(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = whole.folder
    assert load_config(folder / "config.toml", ModulesConfig) == CONFIG
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"segmentation/bce", "segmentation/iou", "matting/gradient", "matting/laplacian"} <= set(
        events.Tags()["scalars"]
    )
    assert events.Tags()["images"]
    assert len(list((folder / "samples").iterdir())) >= 2
    assert len((folder / "log.jsonl").read_text().splitlines()) == 4


def test_an_exported_run_is_an_adapter_of_its_averaged_weights(tmp_path, whole):
    path = tmp_path / "disks.safetensors"
    assert export_run(whole.folder, path) == 4
    modules, about = load_adapter(path, TinyBackbone.early_channels, "vit_l", "ab" * 32)
    assert about.config == MODULES
    assert about.training["data"] == DATA
    assert (about.training["steps"], about.training["seed"]) == (4, CONFIG.seed)
    for name, tensor in modules.state_dict().items():
        torch.testing.assert_close(tensor, whole.ema[name], atol=1e-3, rtol=1e-3)


def test_a_run_without_checkpoint_cannot_be_exported(tmp_path):
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
        export_run(tmp_path, tmp_path / "a.safetensors")
    trainer(tmp_path)
    with pytest.raises(ConfigError, match="no checkpoint yet"):
        export_run(tmp_path, tmp_path / "a.safetensors")


def test_a_run_starts_from_what_fits_of_an_adapter(tmp_path, whole):
    export_run(whole.folder, tmp_path / "a.safetensors")
    wider = config_with(modules=dataclasses.replace(MODULES, head_channels=(12,)))
    state, anew = start_from(tmp_path / "a.safetensors", wider, TinyBackbone.early_channels, "ab" * 32)
    assert anew and all(name.startswith("heads.") for name in anew)
    torch.testing.assert_close(state["tokens.matting"], whole.ema["tokens.matting"], atol=1e-3, rtol=1e-3)
    begun = trainer(tmp_path / "second", wider, start=state)
    assert_same_weights(begun.task.model.state_dict(), state)


def test_the_recipes_that_ship_can_be_read():
    folder = Path(package.__file__).parent / "recipes"
    recipes = {path.stem: load_config(path, ModulesConfig) for path in folder.glob("*.toml")}
    assert set(recipes) == {"lite", "paper-vit-l"}
    paper, lite = recipes["paper-vit-l"], recipes["lite"]
    assert lite.modules == LITE
    assert lite.own is not None
    assert sum(chosen.share for chosen in lite.own.sets) == pytest.approx(1)
    assert paper.modules == SamaConfig(fine_views=False)
    assert (paper.prompts, paper.precision, paper.learning_rate) == ("hq_sam", "bfloat16", 1e-3)
    assert [chosen.layout for chosen in paper.data] == ["dis5k", "thinobject5k", "composition1k", "aim500"]
    assert paper.backgrounds


@pytest.mark.parametrize("field", [{"tasks": ()}, {"tasks": ("matting",) * 2}, {"steps": 0}, {"extra_rounds": ()}])
def test_recipes_that_make_no_sense_are_refused(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        config_with(**field)


def draw_photos(root: Path, folder: str, count: int, side: int = 96) -> None:
    """Disks on noise, with masks or alphas in `folder`."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:side, :side]
    disk = ((x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 3) ** 2).astype(np.uint8)
    for name in ("images", folder):
        (root / name).mkdir(parents=True)
    for i in range(count):
        pixels = rng.integers(0, 90, (side, side, 3)).astype(np.uint8) + 150 * disk[..., None]
        Image.fromarray(pixels).save(root / "images" / f"{i}.png")
        Image.fromarray(disk * 255).save(root / folder / f"{i}.png")


@pytest.fixture
def own(tmp_path) -> Path:
    """Two sets with split.csv, of one and of three photos."""
    root = tmp_path / "own"
    rows = ["set,name,split"]
    for name, count in (("one", 1), ("three", 3)):
        draw_photos(root / name, "masks", count)
        rows += [f"{name},{i},train" for i in range(count)]
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


def test_sets_of_ones_own_are_drawn_by_their_shares(own):
    sets = (OwnSet(name="one", share=0.75), OwnSet(name="three", share=0.25, matting=False))
    config = config_with(own=OwnData(folder=own, sets=sets, mix=MattingMix(drawn=1, drawn_blob=0)))
    sources, supplies = open_sources(config, 256)
    assert [(supply.task, supply.sets) for supply in supplies] == [
        ("segmentation", {"one": 1, "three": 3}),
        ("matting", {"one": 1}),
    ]
    assert isinstance(sources["segmentation"].sample(np.random.default_rng(0)), ViewSample)
    photos = sources["segmentation"]._entries  # type: ignore[attr-defined]
    assert sum(entry.set_name == "one" for entry in photos) / len(photos) == pytest.approx(0.75, abs=0.01)
    matting = sources["matting"]
    assert dict(zip(matting._kinds, matting._shares, strict=True)) == {"drawn": 1, "drawn_blob": 0, "annotated": 0}  # type: ignore[attr-defined]


def test_public_sets_join_ones_own(own, tmp_path):
    draw_photos(tmp_path / "mattes", "alphas", 2)
    config = config_with(own=OwnData(folder=own), data=(DataSet(root=tmp_path / "mattes", layout="plain", weight=5),))
    sources, supplies = open_sources(config, 256)
    assert [(s.task, s.targets) for s in supplies] == [("matting", 2), ("segmentation", 4), ("matting", 4)]
    assert supplies[0].sets == {"mattes": 2}
    assert sources["matting"].sample(np.random.default_rng(0)).task == "matting"


def test_missing_data_is_said(own):
    with pytest.raises(ConfigError, match="no data for segmentation: add"):
        open_sources(CONFIG, 256)
    with pytest.raises(DatasetError, match=r"no split\.csv in .*one\. Give the folder"):
        open_sources(config_with(own=OwnData(folder=own / "one")), 256)
    with pytest.raises(DatasetError, match=r"no training photo of two\. It has one, three"):
        open_sources(config_with(own=OwnData(folder=own, sets=(OwnSet(name="two", share=1),))), 256)


def test_the_command_line_trains_resumes_and_exports(own, tmp_path, capsys):
    recipe, run, adapter = tmp_path / "recipe.toml", tmp_path / "run", tmp_path / "a.safetensors"
    # one task, one photo a step: the bundled SAM sees five views of it
    config = config_with(
        model="lite", tasks=("segmentation",), batch=1, steps=1, target_side=128, own=OwnData(folder=own)
    )
    save_config(config, recipe)
    command = ["train", "modules", "--config", str(recipe), "--run", str(run), "--device", "cpu"]
    assert main([*command, "--export", str(adapter)]) == 0
    assert "segmentation: 3 targets of three train" in capsys.readouterr().out
    assert load_config(run / "config.toml", ModulesConfig) == config
    about = registry.info("lite")
    assert load_adapter(adapter, 48, "lite", about.sha256)[1].training["data"][1]["targets"] == 3
    save_config(config_with(config, steps=2), recipe)
    assert main(command) == 0
    assert "Step 1 of 2" in capsys.readouterr().out
    assert main(["train", "export", "--run", str(run), "--out", str(adapter)]) == 0
    assert load_adapter(adapter, 48, "lite", about.sha256)[1].training["steps"] == 2
    save_config(config_with(config, seed=9), recipe)
    assert main(command) != 0
    assert "another recipe: seed differ" in capsys.readouterr().err
