import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sama_core.images import LOW_RES, Frame, Window
from sama_core.inference.second_look import prompt_within, window_for
from sama_core.prompts import Prompt

SIZE = 512


def drawn(frame: Frame, *boxes: tuple[float, float, float, float]) -> np.ndarray:
    """Logits of a mask that is inside of boxes (left, top, right, bottom) of the photo."""
    logits = np.full((LOW_RES, LOW_RES), -7, np.float32)
    sx, sy = frame.cells(LOW_RES)
    for left, top, right, bottom in boxes:
        logits[round(top * sy) : round(bottom * sy), round(left * sx) : round(right * sx)] = 7
    return logits


def holds(window: Window, box: tuple[float, float, float, float]) -> bool:
    return bool(window.holds(np.array(box).reshape(2, 2)).all())


def test_a_small_object_is_looked_at_again_with_its_surroundings():
    frame = Frame(800, 1200, SIZE)
    window = window_for(drawn(frame, (600, 300, 750, 500)), frame, Prompt([(650, 400)], [1]).validated(800, 1200))
    assert window is not None
    assert holds(window, (580, 280, 770, 520))
    assert max(window.height, window.width) < 500


@pytest.mark.parametrize("box", [(100, 100, 1100, 700), (0, 0, 1200, 800), (500, 0, 700, 780)])
def test_a_large_object_is_not(box):
    frame = Frame(800, 1200, SIZE)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    assert window_for(drawn(frame, box), frame, Prompt([middle], [1]).validated(800, 1200)) is None


def test_nothing_found_is_not_looked_at_again():
    frame = Frame(800, 1200, SIZE)
    prompt = Prompt([(10, 10)], [1]).validated(800, 1200)
    assert window_for(np.full((LOW_RES, LOW_RES), -1, np.float32), frame, prompt) is None


def test_specks_do_not_widen_the_window_but_clicks_and_boxes_do():
    frame = Frame(1000, 1000, SIZE)
    thing, speck = (500, 500, 600, 600), (100, 100, 110, 110)
    logits = drawn(frame, thing, speck)
    on_the_thing = window_for(logits, frame, Prompt([(550, 550)], [1]).validated(1000, 1000))
    assert on_the_thing is not None and not holds(on_the_thing, speck)
    with_a_missed_part = window_for(logits, frame, Prompt([(550, 550), (350, 550)], [1, 1]).validated(1000, 1000))
    assert with_a_missed_part is not None and with_a_missed_part.holds(np.array([(350, 550)])).all()
    boxed = window_for(logits, frame, Prompt(box=(400, 450, 650, 700)).validated(1000, 1000))
    assert boxed is not None and holds(boxed, (400, 450, 650, 700))
    far = window_for(logits, frame, Prompt([(550, 550), (105, 105)], [1, 1]).validated(1000, 1000))
    assert far is None or holds(far, speck)


def test_a_window_at_the_border_ends_there():
    frame = Frame(1000, 1500, SIZE)
    for box in ((0, 0, 120, 100), (1400, 900, 1500, 1000), (0, 880, 90, 1000)):
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        window = window_for(drawn(frame, box), frame, Prompt([middle], [1]).validated(1000, 1500))
        assert window is not None and holds(window, box)
        assert window.top >= 0 and window.left >= 0
        assert window.top + window.height <= 1000 and window.left + window.width <= 1500


def test_a_slightly_other_answer_gives_the_same_window():
    """Most of the time: a border that lies next to a step may move by one."""
    frame = Frame(3000, 4000, SIZE)
    same = 0
    for shift in np.linspace(0, 600, 40):
        windows = {
            window_for(
                drawn(frame, (1000 + shift - more, 800, 1500 + shift + more, 1400)),
                frame,
                Prompt([(1200 + shift, 1000)], [1]).validated(3000, 4000),
            )
            for more in (0, 16)
        }
        same += len(windows) == 1
    assert same > 20


@settings(max_examples=60, deadline=None)
@given(st.integers(40, 6000), st.integers(40, 6000), st.data())
def test_a_window_lies_in_the_photo_and_holds_the_answer_and_the_include_clicks(height, width, data):
    frame = Frame(height, width, SIZE)
    x0, x1 = sorted(data.draw(st.tuples(*[st.floats(0, width)] * 2)))
    y0, y1 = sorted(data.draw(st.tuples(*[st.floats(0, height)] * 2)))
    logits = drawn(frame, (x0, y0, x1, y1))
    rows, columns = frame.shown(LOW_RES)
    assume((logits[:rows, :columns] > 0).any())
    click = data.draw(st.tuples(st.floats(0, width), st.floats(0, height)))
    window = window_for(logits, frame, Prompt([click], [1]).validated(height, width))
    if window is None:
        return
    assert window.top >= 0 and window.left >= 0 and window.height > 0 and window.width > 0
    assert window.top + window.height <= height and window.left + window.width <= width
    assert window.holds(np.array([click], np.float32)).all()
    ys, xs = np.nonzero(logits[:rows, :columns] > 0)
    low = np.array([xs.min(), ys.min()]) / frame.cells(LOW_RES)
    high = np.minimum(np.array([xs.max() + 1, ys.max() + 1]) / frame.cells(LOW_RES), (width, height))
    assert window.holds(np.stack([low, high])).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_points_survive_the_way_into_a_window_and_back(top, left, height, width, data):
    window = Window(top, left, height, width)
    point = data.draw(st.tuples(st.floats(0, width, width=32), st.floats(0, height, width=32)))
    inside = window.to_picture(np.array([point]))
    assert window.holds(inside).all() or np.min(np.abs(window.to_window(inside) - np.array([width, height]))) < 1e-2
    np.testing.assert_allclose(window.to_window(inside), [point], atol=1e-2)


@pytest.mark.parametrize("window", [Window(0, 0, 300, 300), Window(200, 500, 240, 400), Window(550, 800, 250, 400)])
def test_a_map_survives_the_way_into_a_window_and_back(window):
    frame, inner = Frame(800, 1200, SIZE), Frame(window.height, window.width, SIZE)
    rows, columns = np.mgrid[:LOW_RES, :LOW_RES].astype(np.float32)
    plane = 0.3 * rows - 0.2 * columns
    cut = window.cut_grid(plane, frame, inner, -50)
    shown = inner.shown(LOW_RES)
    # the value at a point of the photo is the same in both
    point = np.array([window.left + window.width / 3, window.top + window.height / 2])
    column, row = (point - (window.left, window.top)) * inner.cells(LOW_RES) - 0.5
    outer_column, outer_row = point * frame.cells(LOW_RES) - 0.5
    assert cut[round(row), round(column)] == pytest.approx(0.3 * outer_row - 0.2 * outer_column, abs=0.3)
    assert (cut[shown[0] :] == -50).all() and (cut[:, shown[1] :] == -50).all()
    back = window.paste_grid(np.full_like(plane, -9), frame, cut, inner)
    changed = back != -9
    low, high = (
        np.array(corner) * frame.cells(LOW_RES)[::-1]
        for corner in ((window.top, window.left), (window.top + window.height, window.left + window.width))
    )
    assert changed.sum() == pytest.approx(np.prod(high - low), rel=0.06)
    border = changed & ~(
        np.roll(changed, 2, 0) & np.roll(changed, -2, 0) & np.roll(changed, 2, 1) & np.roll(changed, -2, 1)
    )
    np.testing.assert_allclose(back[changed & ~border], plane[changed & ~border], atol=0.05)


def test_the_second_prompt_is_about_the_window():
    frame, window = Frame(1000, 1000, SIZE), Window(400, 500, 200, 300)
    inner = Frame(200, 300, SIZE)
    prompt = Prompt([(600, 500), (100, 100), (550, 450)], [1, 0, 0], (520, 420, 700, 580)).validated(1000, 1000)
    first = drawn(frame, (550, 450, 700, 550))
    second = prompt_within(prompt, first, frame, window, inner).validated(200, 300)
    np.testing.assert_allclose(second.points, [(100, 100), (50, 50)])
    np.testing.assert_array_equal(second.labels, [1, 0])
    np.testing.assert_allclose(np.asarray(second.box), [20, 20, 200, 180])
    assert second.low_res_logits is not None
    x, y = (np.array([(125, 100)]) * inner.cells(LOW_RES)).astype(int)[0]
    assert second.low_res_logits[y, x] == pytest.approx(7, abs=0.1)
    assert second.low_res_logits[5, 5] == pytest.approx(-7, abs=0.1)
