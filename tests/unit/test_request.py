import pytest

from sama_core.errors import Cancelled
from sama_core.inference import request as requests
from sama_core.inference.request import Request, part


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand, in seconds."""
    now = [0.0]
    monkeypatch.setattr(requests.time, "perf_counter", lambda: now[0])
    return now


def test_a_step_within_another_is_not_counted_twice(clock):
    request = Request()
    with request.step("decode"):
        clock[0] += 1
        with request.step("encode"):
            clock[0] += 5
        clock[0] += 2
        with pytest.raises(Cancelled), request.step("encode"):
            clock[0] += 1
            raise Cancelled("stopped")
    with request.step("refine"):
        clock[0] += 4
    assert request.seconds == {"decode": 3, "encode": 6, "refine": 4}


def test_a_part_of_a_part_tells_where_the_whole_is():
    told = []
    half = part(lambda fraction, text: told.append((fraction, text)), 0.5, 1.0)
    part(half, 0.0, 0.5)(1.0, "a")
    half(0.5, "b")
    half(1.0, "c")
    assert told == [(0.75, "a"), (0.75, "b"), (1.0, "c")]


def test_progress_never_goes_back_when_a_step_is_done_again():
    told = []
    request = Request(lambda fraction, _: told.append(fraction))
    step = request.part(0.2, 0.8)
    for fraction in (0.0, 0.5, 0.0, 0.25, 1.0):
        step(fraction, "")
    assert told == pytest.approx([0.2, 0.5, 0.5, 0.5, 0.8])


def test_notes_are_kept_once_and_follow_those_before_the_question():
    earlier, request = Request(), Request()
    earlier.note("on the CPU")
    earlier.device = "cpu"
    for text in ("nothing found", "on the CPU", "nothing found"):
        request.note(text)
    request.follows(earlier)
    assert request.notes == ["on the CPU", "nothing found"] and request.device == "cpu"
    request.note("on the CPU")
    assert len(request.notes) == 2 and earlier.notes == ["on the CPU"]
