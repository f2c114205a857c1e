import numpy as np
import pytest

from sama_core.images import LOW_RES, Frame, Window
from sama_core.inference.second_look import Looks, is_doubted, is_meant, prompt_alone
from sama_core.prompts import Prompt

SIZE = 512


def answer(photo: tuple[int, int], box, window: Window | None = None) -> tuple[np.ndarray, Frame]:
    """What a network that finds a box (left, top, right, bottom) of the photo says about a window of it."""
    window = Window(0, 0, *photo) if window is None else window
    frame = Frame(window.height, window.width, SIZE)
    logits = np.full((LOW_RES, LOW_RES), -7, np.float32)
    left, top, right, bottom = (np.asarray(box) - [window.left, window.top] * 2) * np.tile(frame.cells(LOW_RES), 2)
    rows, columns = frame.shown(LOW_RES)
    logits[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = 7
    logits[rows:], logits[:, columns:] = -7, -7
    return logits, frame


def all_looks(photo: tuple[int, int], box, prompt: Prompt, first=None) -> list[Window]:
    """The windows that are looked at where the network finds a box in each; `first` is what it finds in the photo."""
    return followed(Looks(Frame(*photo, SIZE), prompt.validated(*photo)), photo, box, first)


def followed(looks: Looks, photo: tuple[int, int], box, first=None) -> list[Window]:
    windows = []
    told = answer(photo, box if first is None else first)
    while (look := looks.next(*told)) is not None:
        windows.append(look.window)
        told = answer(photo, box, look.window)
        assert len(windows) < 10
    return windows


def holds(window: Window, box) -> bool:
    return bool(window.holds(np.array(box, float).reshape(2, 2)).all())


@pytest.mark.parametrize("photo", [(480, 640), (3000, 4000), (1080, 2400), (4000, 6000)])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.7])
def test_a_photo_gets_one_further_look_at_most(photo, share):
    height, width = photo
    side = share * width / 2
    middle = width / 2, height / 2
    box = middle[0] - side, middle[1] - side / 2, middle[0] + side, middle[1] + side / 2
    windows = all_looks(photo, box, Prompt([middle], [1]))
    assert len(windows) == (share < 0.4)
    assert all(holds(window, box) for window in windows)


@pytest.mark.parametrize("ratio", [4, 11, 40])
@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("first", [(0, 0, 0, 0), (200, 0, 1000, 1500), (0, 700, 6000, 800)])
def test_in_a_strip_the_looks_begin_at_the_click_whatever_the_first_look_finds(ratio, upright, first):
    photo, box, click = (1500, 1500 * ratio), (3000, 100, 4400, 1450), (3500, 800)
    if upright:
        photo, box, click = (photo[1], photo[0]), (100, 3000, 1450, 4400), click[::-1]
    windows = all_looks(photo, box, Prompt([click], [1]), first)
    assert 1 <= len(windows) <= 2 and all(holds(window, box) for window in windows)
    assert max(max(window.height, window.width) for window in windows) <= 2.5 * 1500


def test_a_small_thing_in_a_strip_is_looked_at_closer():
    box = (9000, 600, 9150, 700)
    windows = all_looks((1500, 17000), box, Prompt([(9070, 650)], [1]))
    assert len(windows) == 2 and all(holds(window, box) for window in windows)
    assert max(windows[-1].height, windows[-1].width) < 400


def test_a_long_thing_in_a_strip_is_followed_to_its_ends_and_no_further():
    box = (5000, 500, 12000, 1000)
    windows = all_looks((1500, 30000), box, Prompt([(6000, 700)], [1]))
    assert holds(windows[-1], box) and len(windows) <= 4
    assert windows[-1].width < 15000
    across = all_looks((1500, 30000), (0, 500, 30000, 1000), Prompt([(6000, 700)], [1]))
    assert across[-1] == Window(0, 0, 1500, 30000) and len(across) <= 5


def test_clicks_all_over_a_strip_are_about_all_of_it():
    photo = (1500, 17000)
    assert all_looks(photo, (0, 0, 17000, 1500), Prompt([(100, 700), (16000, 700)], [1, 1])) == []


@pytest.mark.parametrize("prompt", [Prompt([(8000, 5000)], [1]), Prompt(box=(7900, 4900, 8100, 5050))])
def test_a_thing_too_small_for_the_first_look_is_looked_for_around_the_prompt(prompt):
    box = (7950, 4950, 8050, 5030)
    windows = all_looks((6700, 9000), box, prompt, first=(0, 0, 0, 0))
    assert windows and all(holds(window, box) for window in windows)
    assert max(windows[-1].height, windows[-1].width) < 500
    assert all_looks((480, 640), box, Prompt([(300, 200)], [1]), first=(0, 0, 0, 0)) == []


@pytest.mark.parametrize("photo", [(6700, 9000), (4000, 6000), (9000, 3000)])
@pytest.mark.parametrize("first", [(0, 0, 3000, 2500), (100, 100, 200, 200), (0, 0, 0, 0)])
def test_a_small_thing_is_looked_for_near_the_prompt_whatever_the_first_look_found(photo: tuple[int, int], first):
    box = (1400, 1450, 1520, 1560)
    looks = Looks(Frame(*photo, SIZE), Prompt([(1450, 1500)], [1]).validated(*photo), near=True)
    windows = followed(looks, photo, box, first)
    assert not looks.ran_out and windows and all(holds(window, box) for window in windows)
    assert max(windows[-1].height, windows[-1].width) < 400


def test_what_runs_out_of_the_surroundings_of_the_prompt_is_not_followed():
    photo, box = (6700, 9000), (1000, 1000, 6000, 5000)
    looks = Looks(Frame(*photo, SIZE), Prompt([(3000, 3000)], [1]).validated(*photo), near=True)
    windows = followed(looks, photo, box)
    assert looks.ran_out and len(windows) < 4
    assert max(max(window.height, window.width) for window in windows) < 0.25 * 9000


def test_nothing_is_looked_for_near_a_prompt_that_is_large_itself():
    photo = (6700, 9000)
    for prompt in (Prompt(box=(1000, 1000, 4000, 4000)), Prompt([(500, 500), (8000, 6000)], [1, 1])):
        looks = Looks(Frame(6700, 9000, SIZE), prompt.validated(*photo), near=True)
        assert followed(looks, photo, (1000, 1000, 4000, 4000)) == []


def test_only_a_doubted_answer_about_a_much_reduced_photo_gives_way_and_only_to_a_better_one():
    large, web = Frame(4000, 6000, SIZE), Frame(800, 1200, SIZE)
    assert is_doubted(0.6, large) and not is_doubted(0.95, large) and not is_doubted(0.6, web)
    assert is_meant(0.95, 0.6) and not is_meant(0.7, 0.3) and not is_meant(0.84, 0.83)


def test_a_crop_that_was_shown_reduced_is_looked_at_again_when_less_was_found_in_it():
    box = (7950, 4950, 8100, 5070)
    windows = all_looks((6700, 9000), box, Prompt([(8000, 5000)], [1]), first=(7000, 4000, 9000, 6000))
    assert len(windows) == 2 and holds(windows[1], box)
    assert holds(windows[0], (windows[1].left, windows[1].top, windows[1].left + 9, windows[1].top + 9))


def test_a_look_of_its_own_is_asked_the_users_own_prompt():
    photo, window = Frame(1000, 10000, SIZE), Window(0, 4000, 1000, 2000)
    mask = np.zeros((1000, 10000), bool)
    mask[400:500, 4100:4200] = True
    prompt = Prompt([(4500, 300), (9000, 10)], [1, 0], (4400, 100, 6500, 600), mask).validated(1000, 10000)
    own = prompt_alone(prompt, photo, window, Frame(1000, 2000, SIZE))
    assert np.asarray(own.points).tolist() == [[500, 300]] and np.asarray(own.labels).tolist() == [1]
    assert np.asarray(own.box).tolist() == [400, 100, 2000, 600]
    assert own.mask is not None and own.mask.shape == (1000, 2000) and own.mask[450, 150] and own.low_res_logits is None
