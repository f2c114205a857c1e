import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sama_core import Engine, Prompt
from sama_core.errors import Cancelled, DeviceError, InvalidImage, InvalidPrompt, WeightsError
from sama_core.files import file_sha256
from sama_core.images import Window
from sama_core.inference import device as devices
from sama_core.inference.embedding_cache import EmbeddingCache
from sama_core.inference.predictor import StockAnswer
from sama_core.inference.second_look import window_for
from sama_core.model.sama import SamaModules
from sama_core.model.sama_config import LITE
from sama_core.weights import registry
from sama_core.weights.adapter import save_adapter
from sama_core.weights.files import save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(registry.build("lite").state_dict(), path, {})
    return path


@pytest.fixture(scope="module")
def adapter(weights, tmp_path_factory):
    """SAMA modules whose heads say something other than stock SAM."""
    torch.manual_seed(4)
    modules = SamaModules(LITE, registry.build("lite").backbone.early_channels)
    for head in modules.heads.values():
        torch.nn.init.normal_(head.token_mlp[-1].weight, std=0.05)  # type: ignore[index, union-attr]
    path = tmp_path_factory.mktemp("adapter") / "random.safetensors"
    save_adapter(modules, path, "lite", file_sha256(weights), {})
    return path


@pytest.fixture
def engine(weights, adapter):
    return Engine(device="cpu", cache=EmbeddingCache(None), weights=weights, adapter=adapter)


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 255, (120, 200, 3)).astype(np.uint8)


def test_an_answer_has_the_photos_size(engine, photo):
    engine.set_image(photo)
    answer = engine.select(Prompt([(100, 60)], [1]))
    assert answer.alpha.shape == (120, 200)
    assert answer.alpha.dtype == np.uint8
    assert answer.low_res_logits.shape == (256, 256)
    assert 0 <= answer.score <= 1
    assert answer.device == "cpu"
    matte = engine.matte(Prompt(box=(20, 20, 180, 100)), decontaminate=True)
    assert matte.alpha.shape == (120, 200)
    assert matte.foreground is not None
    assert matte.foreground.shape == photo.shape


def test_the_second_click_encodes_nothing(engine, photo):
    first = engine.set_image(photo)
    engine.select(Prompt([(100, 60)], [1]))
    assert engine.set_image(photo.copy()) == first
    engine.select(Prompt([(100, 60), (30, 30)], [1, 0]))
    assert engine.encodes == 1


def test_a_later_engine_finds_the_embedding_on_disk_and_answers_the_same(weights, photo, tmp_path):
    answers, encodes = [], []
    for _ in range(2):
        engine = Engine(device="cpu", cache=EmbeddingCache(tmp_path), weights=weights)
        engine.set_image(photo)
        answers.append(engine.select(Prompt([(100, 60)], [1])).low_res_logits)
        encodes.append(engine.encodes)
    assert encodes == [1, 0]
    np.testing.assert_array_equal(*answers)


def test_what_is_kept_of_a_picture_is_never_taken_for_another(engine, photo):
    """Heads are shown what was prepared of the picture before, and only of that."""
    prompt = Prompt([(100, 60)], [1])
    engine.set_image(photo)
    first = engine.predict_logits(prompt, "segmentation")[0]
    engine.set_image(np.ascontiguousarray(photo[::-1]))
    other = engine.predict_logits(prompt, "segmentation")[0]
    assert not np.array_equal(first, other)
    engine.set_image(photo)
    np.testing.assert_array_equal(engine.predict_logits(prompt, "segmentation")[0], first)


def test_one_changed_pixel_is_another_image(engine, photo):
    engine.set_image(photo)
    changed = photo.copy()
    changed[5, 5, 0] ^= 1
    engine.set_image(changed)
    assert engine.encodes == 2


def test_every_kind_of_prompt_changes_the_answer(engine, photo):
    engine.set_image(photo)
    mask = np.zeros((120, 200), bool)
    mask[30:90, 50:120] = True
    logits = np.random.default_rng(1).normal(size=(256, 256)).astype(np.float32)
    prompts = [
        Prompt([(100, 60)], [1]),
        Prompt([(30, 60)], [1]),
        Prompt([(100, 60), (30, 60)], [1, 0]),
        Prompt([(100, 60), (30, 60)], [1, 1]),
        Prompt(box=(10, 10, 100, 100)),
        Prompt([(60, 60)], [1], box=(10, 10, 100, 100)),
        Prompt(mask=mask),
        Prompt([(100, 60)], [1], low_res_logits=logits),
    ]
    answers = [engine.predict_logits(prompt)[0] for prompt in prompts]
    for i, one in enumerate(answers):
        for other in answers[i + 1 :]:
            assert np.abs(one - other).max() > 1e-4


def contradicting(engine, points):
    """Labels for clicks on the 200 pixels wide photo, of which each asks the opposite of the answer before it."""
    labels = [1]
    for count in range(1, len(points)):
        x, y = points[count]
        logits, _ = engine.predict_logits(Prompt(points[:count], labels))
        labels.append(int(logits[int(y * 256 / 200), int(x * 256 / 200)] <= 0))
    return labels


def test_clicks_are_replayed_as_the_dialogue_they_were(engine, photo):
    engine.set_image(photo)
    points = [(100.0, 60.0), (30.0, 60.0), (150.0, 90.0)]
    labels = contradicting(engine, points)
    logits = None
    for count in (1, 2, 3):
        logits, _ = engine.predict_logits(Prompt(points[:count], labels[:count], low_res_logits=logits))
    at_once, _ = engine.predict_logits(Prompt(points, labels))
    np.testing.assert_array_equal(at_once, logits)


def test_each_task_has_a_head_of_its_own(engine, photo):
    engine.set_image(photo)
    prompt = Prompt([(100, 60)], [1])
    stock, _ = engine.predict_logits(prompt)
    answers = [engine.predict_logits(prompt, task)[0] for task in ("segmentation", "matting")]
    assert stock.shape == (256, 256)
    assert [answer.shape for answer in answers] == [(512, 512)] * 2
    assert np.abs(answers[0] - answers[1]).max() > 1e-3
    small = answers[0].reshape(256, 2, 256, 2).mean((1, 3))
    assert np.abs(small - stock).max() > 1e-3


def test_local_views_are_encoded_once_and_only_where_the_object_is(weights, adapter, photo, tmp_path):
    cache = EmbeddingCache(tmp_path)
    engine = Engine(device="cpu", cache=cache, weights=weights, adapter=adapter, local_views="all")
    engine.set_image(photo)
    assert len(list(tmp_path.iterdir())) == 1
    first = engine.matte(Prompt([(100, 60)], [1])).alpha
    assert len(list(tmp_path.iterdir())) == 5
    times = {path: path.stat().st_ctime_ns for path in tmp_path.iterdir()}
    engine.set_image(np.zeros_like(photo))
    engine.set_image(photo)
    np.testing.assert_array_equal(engine.matte(Prompt([(100, 60)], [1])).alpha, first)
    assert {path: path.stat().st_ctime_ns for path in times} == times


def test_quadrants_are_reached_by_the_mask_and_a_margin(engine):
    logits = np.full((256, 256), -8.0, np.float32)
    logits[20:60, 20:60] = 5
    assert engine._predictor.quadrants(logits) == [0]
    logits[20:60, 100:124] = 5
    assert engine._predictor.quadrants(logits) == [0, 1]
    logits[200, 10] = 5
    assert engine._predictor.quadrants(logits) == [0, 1, 2]


METHODS_TRIED = ("closed-form", "head", "refiner")


def test_a_matte_comes_from_the_refiner_from_closed_form_matting_or_from_the_head():
    """The ways differ near the edge and nowhere else."""
    y, x = np.mgrid[:240, :320]
    distance = np.hypot(y - 120, x - 150)
    disk = np.clip((80 - distance) / 6 + 0.5, 0, 1)[..., None]
    grain = np.random.default_rng(1).normal(0, 4, (240, 320, 3))
    picture = np.clip(disk * (200, 60, 40) + (1 - disk) * (90, 120, 90) + grain, 0, 255).astype(np.uint8)
    engine = Engine(device="cpu", cache=EmbeddingCache(None))
    engine.set_image(picture)
    prompt = Prompt([(150, 120)], [1])
    solved, by_head, refined = (engine.matte(prompt, method=method).alpha.astype(int) for method in METHODS_TRIED)
    for alpha in (solved, by_head, refined):
        assert (alpha[distance < 60] > 250).all() and (alpha[distance > 110] < 5).all()
    assert (by_head != solved).any()
    assert (refined != solved).any()
    truth = disk[..., 0] * 255
    assert np.abs(refined - truth).mean() < 1.1 * np.abs(solved - truth).mean() + 0.1
    for alpha in (by_head, refined):
        assert (alpha == solved)[np.abs(distance - 80) > 40].all()
    logits, _ = engine.predict_logits(prompt, "matting")
    assert logits.shape == (512, 512)


def test_a_model_without_sama_modules_says_who_answered(weights, photo):
    engine = Engine(device="cpu", cache=EmbeddingCache(None), weights=weights)
    engine.set_image(photo)
    prompt = Prompt([(100, 60)], [1])
    for _ in range(2):
        (note,) = engine.matte(prompt, method="head").notes
        assert "matting head" in note
        (note,) = engine.select(prompt).notes
        assert "stock SAM" in note


def test_an_adapter_of_other_weights_is_refused(adapter):
    with pytest.raises(WeightsError, match="other weights"):
        Engine(device="cpu", cache=EmbeddingCache(None), adapter=adapter)


def test_progress_rises_and_may_cancel(engine, photo):
    seen = []
    engine.set_image(photo, lambda fraction, text: seen.append((fraction, text)))
    engine.matte(Prompt([(100, 60)], [1]), True, lambda fraction, text: seen.append((fraction, text)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 and text for fraction, text in seen)

    def stop(fraction: float, text: str) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        engine.select(Prompt([(100, 60)], [1]), stop)
    engine.select(Prompt([(100, 60)], [1]))


def test_bad_input_leaves_the_engine_usable(engine, photo):
    with pytest.raises(InvalidImage, match="No picture"):
        engine.select(Prompt([(1, 1)], [1]))
    for wrong in (photo[..., 0], photo.astype(np.float32), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(InvalidImage):
            engine.set_image(wrong)
    engine.set_image(photo)
    with pytest.raises(InvalidPrompt):
        engine.select(Prompt([(500, 1)], [1]))
    engine.select(Prompt([(50, 10)], [1]))


def test_a_missing_weight_file_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(WeightsError, match="installer"):
        Engine(device="cpu", cache=EmbeddingCache(None), weights=tmp_path / "none.safetensors")


def test_the_device_is_chosen_by_name_then_environment_then_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.delenv("SAMA_DEVICE", raising=False)
    assert devices.choose().type == "cuda"
    assert devices.choose("cpu").type == "cpu"
    monkeypatch.setenv("SAMA_DEVICE", "cpu")
    assert devices.choose().type == "cpu"
    with pytest.raises(DeviceError, match="no MPS device"):
        devices.choose("mps")
    with pytest.raises(DeviceError, match="no device named “tpu”"):
        devices.choose("tpu")


class PretendGpu:
    """Stands where a GPU would be asked: memory runs out `failures` times, then the CPU computes."""

    def __init__(self, failures: int) -> None:
        self.failures, self.calls = failures, 0

    def __call__(self, device):
        cpu = torch.device("cpu")
        yield devices.Attempt(cpu, None, None)
        yield devices.Attempt(cpu, torch.bfloat16, "computed in half precision")
        yield devices.Attempt(cpu, None, "computed on the CPU")

    def decode(self, real):
        def wrapped(*args):
            self.calls += 1
            if self.calls <= self.failures:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return real(*args)

        return wrapped


@pytest.mark.parametrize(("failures", "notes"), [(0, []), (1, ["half precision"]), (2, ["on the CPU"])])
def test_out_of_memory_falls_back_and_says_so(engine, photo, monkeypatch, failures, notes):
    pretend = PretendGpu(failures)
    monkeypatch.setattr(devices, "attempts", pretend)
    engine.set_image(photo)
    monkeypatch.setattr(engine._predictor, "stock", pretend.decode(engine._predictor.stock))
    answer = engine.select(Prompt([(100, 60)], [1]))
    assert len(answer.notes) == len(notes)
    assert all(words in note for words, note in zip(notes, answer.notes, strict=True))


def short_of_memory_once(monkeypatch, engine, step):
    """One step of an engine's network finds a device's memory full, the next time."""
    monkeypatch.setattr(devices, "attempts", PretendGpu(0))
    monkeypatch.setattr(engine._predictor, step, PretendGpu(1).decode(getattr(engine._predictor, step)))


@pytest.mark.parametrize("ask", ["select", "matte"])
def test_an_answer_tells_of_its_own_fallbacks_alone(engine, photo, monkeypatch, ask):
    engine.set_image(photo)
    short_of_memory_once(monkeypatch, engine, "stock")
    answers = [getattr(engine, ask)(Prompt([(x, 60)], [1])) for x in (100, 60)]
    assert [len(answer.notes) for answer in answers] == [1, 0]


def test_the_first_answer_tells_of_the_pictures_encoding_and_no_other(engine, photo, monkeypatch):
    short_of_memory_once(monkeypatch, engine, "encode")
    prompt = Prompt([(100, 60)], [1])
    engine.set_image(photo)
    spent = engine._untold.seconds["encode"]

    def stop(fraction: float, text: str) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        engine.select(prompt, stop)
    first, second = engine.select(prompt), engine.select(prompt)
    assert "half precision" in first.notes[0] and not second.notes
    assert first.seconds["encode"] > spent > second.seconds["encode"]
    # also as the service asks, which gives the picture with every question
    engine.set_image(photo[::-1].copy())
    short_of_memory_once(monkeypatch, engine, "encode")
    engine.set_image(photo[:, ::-1].copy())
    with pytest.raises(Cancelled):
        engine.select(prompt, stop)
    engine.set_image(photo[:, ::-1].copy())
    assert len(engine.select(prompt).notes) == 1


@pytest.mark.parametrize("step", ["encode", "answer"])
def test_a_helper_engines_fallback_is_told_too(weights, photo, monkeypatch, step):
    engine = Engine(device="cpu", cache=EmbeddingCache(None), weights=weights)
    engine.set_image(photo)
    short_of_memory_once(monkeypatch, engine._matting_expert(), step)
    notes = [engine.matte(Prompt([(x, 60)], [1]), method="head").notes for x in (100, 60)]
    assert [any("half precision" in note for note in those) for those in notes] == [True, False]
    assert all("matting head" in those[0] for those in notes)


def test_memory_that_is_short_everywhere_is_an_error_with_a_remedy(engine, photo, monkeypatch):
    pretend = PretendGpu(99)
    monkeypatch.setattr(devices, "attempts", pretend)
    engine.set_image(photo)
    monkeypatch.setattr(engine._predictor, "stock", pretend.decode(engine._predictor.stock))
    with pytest.raises(DeviceError, match="not enough memory"):
        engine.select(Prompt([(100, 60)], [1]))


def test_the_ways_down_from_a_gpu():
    ways = list(devices.attempts(torch.device("cuda")))
    assert [(way.device.type, way.autocast) for way in ways] == [
        ("cuda", None),
        ("cuda", torch.float16),
        ("cpu", torch.bfloat16 if devices.has_bfloat16() else None),
    ]
    assert [way.note is None for way in ways] == [True, False, False]
    assert [way.device.type for way in devices.attempts(torch.device("cpu"))] == ["cpu"]


def contradicted(alpha, clicks):
    height, width = alpha.shape
    last = {(min(width - 1, int(x)), min(height - 1, int(y))): label for x, y, label in clicks}
    return [(pixel, label) for pixel, label in last.items() if (alpha[pixel[1], pixel[0]] > 127) != bool(label)]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.floats(0, 64, width=32), st.floats(0, 48, width=32), st.integers(0, 1)), max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_no_click_is_ever_contradicted(engine, clicks, seed):
    clicks = [(32.0, 24.0, 1), *clicks]
    engine.set_image(np.random.default_rng(seed).integers(0, 255, (48, 64, 3)).astype(np.uint8))
    answer = engine.select(Prompt([click[:2] for click in clicks], [click[2] for click in clicks]))
    assert not contradicted(answer.alpha, clicks)


@pytest.mark.parametrize("method", ["closed-form", "head"])
@pytest.mark.parametrize("found", [-6.0, 6.0])
def test_a_matte_contradicts_no_click_whatever_the_network_says(engine, monkeypatch, method, found):
    photo = np.full((48, 64, 3), 90, np.uint8)
    answer = engine._predictor.answer
    monkeypatch.setattr(engine._predictor, "answer", lambda *args: np.full_like(answer(*args), found))
    engine.set_image(photo)
    clicks = [(32.5, 24.5, 1), (12.5, 24.5, 0), (36.5, 30.5, 0)]
    alpha = engine.matte(Prompt([click[:2] for click in clicks], [1, 0, 0]), method=method).alpha
    assert not contradicted(alpha, clicks)
    assert alpha.min() < 30 and alpha.max() > 220


@pytest.fixture
def small_thing(engine, monkeypatch):
    """Stock SAM's first answer is a small thing; records prompts, encoded views and the windows looked at again."""
    asked, encoded, windows = [], [], []
    stock, encode = engine._predictor.stock, engine._predictor.encode

    def pretended(features, prompt, device, dialogue):
        answer = stock(features, prompt, device, dialogue)
        asked.append(prompt)
        if len(asked) % 2:
            logits = np.full((256, 256), -6, np.float32)
            logits[30:60, 180:204] = 6
            return answer._replace(logits=logits)
        return answer

    def counted(small, fine, views, device):
        encoded.extend((len(windows), view) for view in views)
        return encode(small, fine, views, device)

    def noted(*args):
        windows.append(window_for(*args))
        return windows[-1]

    monkeypatch.setattr(engine._predictor, "stock", pretended)
    monkeypatch.setattr(engine._predictor, "encode", counted)
    monkeypatch.setattr("sama_core.inference.second_look.window_for", noted)
    return asked, encoded, windows


@pytest.fixture(scope="module")
def large_photo():
    return np.random.default_rng(5).integers(0, 255, (480, 800, 3)).astype(np.uint8)


def lies_within(alpha, window):
    outside = alpha.copy()
    outside[window.place] = 0
    return alpha.any() and not outside.any()


def test_a_small_thing_is_looked_at_again_in_a_crop(engine, large_photo, small_thing):
    asked, encoded, windows = small_thing
    texts = []
    engine.set_image(large_photo)
    answer = engine.select(Prompt([(600, 140)], [1]), lambda _, text: texts.append(text))
    (window,) = windows
    assert "Looking closer" in texts
    assert max(window.height, window.width) < 300 and window.holds(np.array([(600, 140)])).all()
    # of the photo the global view alone, of the crop also local ones
    assert encoded[:2] == [(0, -1), (1, -1)] and all(after == 1 and view >= 0 for after, view in encoded[2:])
    first, second = asked
    assert second.answered and not first.answered
    assert second.points[0] == pytest.approx(np.array([256, 256]), abs=80)
    assert answer.alpha.shape == (480, 800) and lies_within(answer.alpha, window)
    # the logits handed back are the whole photo's: the first answer's outside of the crop, other ones inside
    changed = ~np.isin(answer.low_res_logits, (-6, 6))
    assert changed[40:50, 185:200].all() and not changed[100:].any() and not changed[:, :100].any()


def test_the_next_click_finds_the_crop_encoded(engine, large_photo, small_thing):
    _, encoded, windows = small_thing
    engine.set_image(large_photo)
    first = engine.select(Prompt([(600, 140)], [1]))
    engine.select(Prompt([(600, 140), (590, 150)], [1, 0], low_res_logits=first.low_res_logits))
    engine.matte(Prompt([(600, 140), (590, 150)], [1, 0]))
    assert len(windows) == 3 and len(set(windows)) == 1
    assert [view for _, view in encoded].count(-1) == 2
    assert engine.encodes == 1


def test_without_a_second_look_the_answer_is_about_the_whole_photo(weights, adapter, large_photo, monkeypatch):
    engine = Engine(device="cpu", cache=EmbeddingCache(None), weights=weights, adapter=adapter, second_look=False)
    monkeypatch.setattr("sama_core.inference.second_look.window_for", lambda *_: pytest.fail("asked for a crop"))
    engine.set_image(large_photo)
    engine.select(Prompt([(600, 140)], [1]))


@pytest.mark.parametrize("method", ["closed-form", "head"])
def test_a_matte_of_a_small_thing_lies_in_its_crop(engine, large_photo, small_thing, method, monkeypatch):
    y, x = np.mgrid[:512, :512]
    disk = (8 - np.hypot(y - 250, x - 250) / 12).astype(np.float32)
    monkeypatch.setattr(engine._predictor, "answer", lambda *_: disk)
    engine.set_image(large_photo)
    alpha = engine.matte(Prompt([(600, 140)], [1]), method=method).alpha
    assert alpha.shape == (480, 800) and lies_within(alpha, small_thing[2][0])


def test_a_model_without_sama_modules_looks_again_too(weights, large_photo, monkeypatch):
    engine = Engine(device="cpu", cache=EmbeddingCache(None), weights=weights)
    window = Window(120, 580, 48, 64)
    monkeypatch.setattr("sama_core.inference.second_look.window_for", lambda *_: window)
    engine.set_image(large_photo)
    assert lies_within(engine.matte(Prompt([(600, 140)], [1]), method="head").alpha, window)


def says(*boxes, scores=()):
    """A stand-in for stock SAM that finds a box (left, top, right, bottom) of cells, one after the other."""
    left, sure = list(boxes), list(scores) or [0.9] * len(boxes)

    def stock(features, prompt, device, dialogue):
        logits = np.full((256, 256), -6, np.float32)
        x0, y0, x1, y1 = left.pop(0)
        logits[y0:y1, x0:x1] = 6
        return StockAnswer(logits, sure.pop(0), None)

    return stock


def test_in_a_strip_crops_around_the_click_are_looked_at(engine, monkeypatch):
    strip = np.random.default_rng(6).integers(0, 255, (100, 1600, 3)).astype(np.uint8)
    engine.set_image(strip)
    # all of the strip, then what runs out of the first crop to the right, then what lies within the second
    monkeypatch.setattr(engine._predictor, "stock", says((0, 0, 256, 16), (100, 40, 256, 80), (80, 20, 140, 50)))
    monkeypatch.setattr(engine._predictor, "answer", lambda *_: np.full((512, 512), 6, np.float32))
    answer = engine.select(Prompt([(600.5, 50.5)], [1]))
    assert answer.window is not None and answer.window.height == 100 and 300 < answer.window.width < 500
    assert lies_within(answer.alpha, answer.window)
    # what the first look said of the strip is forgotten
    assert (answer.low_res_logits[:16, 200:] < 0).all() and (answer.low_res_logits > 0).any()


@pytest.mark.parametrize("score, near", [(0.6, True), (0.9, False)])
def test_a_doubted_answer_about_a_large_photo_gives_way_to_a_small_thing_at_the_click(engine, monkeypatch, score, near):
    photo = np.random.default_rng(8).integers(0, 255, (1600, 2400, 3)).astype(np.uint8)
    engine.set_image(photo)
    monkeypatch.setattr(
        engine._predictor, "stock", says((0, 0, 200, 150), *[(120, 120, 140, 140)] * 2, scores=(score, 0.7, 0.95))
    )
    monkeypatch.setattr(engine._predictor, "answer", lambda *_: np.full((512, 512), 6, np.float32))
    answer = engine.select(Prompt([(1500.5, 900.5)], [1]))
    assert answer.score == (0.95 if near else score)
    if near:
        assert answer.window is not None and answer.window.holds(np.array([[1500.5, 900.5]])).all()
        assert lies_within(answer.alpha, answer.window) and (answer.low_res_logits > 0).mean() < 0.02
    else:
        assert answer.window is None and (answer.low_res_logits > 0).mean() > 0.3


def test_a_doubted_answer_stays_where_nothing_better_is_near(engine, monkeypatch):
    engine.set_image(np.random.default_rng(8).integers(0, 255, (1600, 2400, 3)).astype(np.uint8))
    for near, score in (((120, 120, 140, 140), 0.5), ((0, 0, 256, 256), 0.99), ((0, 0, 0, 0), 0.99)):
        monkeypatch.setattr(engine._predictor, "stock", says((0, 0, 200, 150), *[near] * 2, scores=(0.6, score, score)))
        monkeypatch.setattr(engine._predictor, "answer", lambda *_: np.full((512, 512), 6, np.float32))
        answer = engine.select(Prompt([(1500.5, 900.5)], [1]))
        assert answer.window is None and answer.score == 0.6 and (answer.low_res_logits > 0).mean() > 0.3


@pytest.mark.parametrize("ask", ["select", "matte"])
def test_parts_of_other_things_are_left_out(engine, monkeypatch, ask):
    logits = np.full((512, 512), -8, np.float32)
    logits[100:250, 100:250], logits[100:140, 400:440] = 8, 8
    monkeypatch.setattr(engine._predictor, "answer", lambda *_: logits)
    monkeypatch.setattr(engine._predictor, "stock", says(*[(50, 50, 220, 125)] * 2))
    photo = np.full((300, 512, 3), (90, 120, 90), np.uint8)
    photo[100:250, 100:250] = photo[100:140, 400:440] = (200, 60, 40)
    engine.set_image(photo)
    one, both = (
        getattr(engine, ask)(Prompt(at, [1] * len(at))).alpha for at in ([(175, 175)], [(175, 175), (420, 120)])
    )
    assert one[175, 175] > 250 and one[100:140, 380:460].max() == 0
    assert both[175, 175] > 250 and both[120, 420] > 250


def test_a_further_click_costs_one_decoding_and_answers_as_a_dialogue_from_the_start(engine, photo):
    """Earlier clicks are remembered, not decoded again; the answer is the same."""
    points = [(100, 60), (120, 80), (20, 20)]
    engine.set_image(photo)
    labels = contradicting(engine, points)
    engine.set_image(photo[::-1].copy())
    engine.set_image(photo)
    decoded = []
    decode = engine._predictor.sam.decode

    def counting(*args):
        decoded.append(1)
        return decode(*args)

    engine._predictor.sam.decode = counting
    try:
        engine.predict_logits(Prompt(points[:1], labels[:1]))
        engine.predict_logits(Prompt(points[:2], labels[:2]))
        assert len(decoded) == 2
        kept, _ = engine.predict_logits(Prompt(points, labels))
        assert len(decoded) == 3
        engine.set_image(photo[::-1].copy())
        engine.set_image(photo)
        fresh, _ = engine.predict_logits(Prompt(points, labels))
        assert len(decoded) == 6, "another picture in between: a new dialogue"
    finally:
        engine._predictor.sam.decode = decode
    np.testing.assert_array_equal(kept, fresh)


def test_a_matte_by_the_clicks_of_a_selection_asks_the_networks_nothing(weights, adapter, photo, monkeypatch):
    def fresh():
        made = Engine(device="cpu", cache=EmbeddingCache(None), weights=weights, adapter=adapter)
        made.set_image(photo)
        return made

    engine, points = fresh(), np.array([(100.5, 60.5)], np.float32)
    selection = engine.select(Prompt(points, [1]))
    selection.low_res_logits[:] = 9
    asked = []
    stock = engine._predictor.stock
    monkeypatch.setattr(engine._predictor, "stock", lambda *args: asked.append(1) or stock(*args))
    matte = engine.matte(Prompt([(100.5, 60.5)], [1]), method="closed-form")
    assert not asked and {"encode", "decode", "refine"} <= matte.seconds.keys()
    alone = fresh().matte(Prompt(points, [1]), method="closed-form")
    # two engines compute the same to a rounding error
    assert np.abs(matte.alpha.astype(int) - alone.alpha).max() <= 1
    np.testing.assert_allclose(matte.low_res_logits, alone.low_res_logits, atol=1e-3)
    assert matte.notes == alone.notes and matte.score == pytest.approx(alone.score, abs=1e-4)
    # the same array with another click in it is another question, and so is the same click on another picture
    points[0] = 40.5, 30.5
    engine.select(Prompt(points, [1]))
    assert len(asked) == 1
    before = weakref.ref(engine._current)
    engine.set_image(photo[::-1].copy())
    gc.collect()
    assert before() is None
    engine.select(Prompt(points, [1]))
    assert len(asked) == 2


def test_what_was_noted_is_noted_again_where_an_answer_is_asked_for_twice(weights, photo):
    engine = Engine(device="cpu", cache=EmbeddingCache(None), weights=weights, adapter=None)
    engine._predictor.sama = None
    engine.set_image(photo)
    first, second = (engine.select(Prompt([(100.5, 60.5)], [1])) for _ in range(2))
    assert first.notes and second.notes == first.notes and second.device == first.device
