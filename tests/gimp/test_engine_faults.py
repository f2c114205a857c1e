"""The engine is missing, dies or hangs up: the procedure says so, the image stays as it was, the next run works."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest
from ramp_session import RampSession

EXPECTED = "error with a remedy; the image unharmed; the next run works"
CLICKED = "image, layer = new_image()\nclick(image, (50, 50))\nbefore = fingerprint(image)\n"
REPORT = "print(json.dumps([answer, before == fingerprint(image)]))"


@pytest.mark.parametrize("verb", ["select", "matte"])
def test_kill_9_in_the_middle_of_a_run(ramp: RampSession, fault, verb: str):
    fault(f"in GIMP: engine killed (SIGKILL) in the middle of {verb}", EXPECTED)
    code = CLICKED + f'answer = run(image, [layer], "{verb}")\n' + REPORT
    with ramp.at_work(code) as outcome:
        killed = ramp.kill()
    answer, untouched = outcome[0]
    assert answer["status"] == "execution_error"
    assert "stopped in the middle of the job. Run the command again" in answer["error"]
    assert str(ramp.home / "logs" / "engine.log") in answer["error"]
    assert untouched
    again, _ = ramp.json(f'answer = run(image, [layer], "{verb}")\n' + REPORT)
    assert again["status"] == "success"
    assert ramp.pid() != killed
    fault.saw(f"“{answer['error']}”", "Image untouched. Next run: success.")


def test_kill_9_of_the_plug_in(ramp: RampSession, fault):
    """What GIMP's Cancel does."""
    fault("in GIMP: plug-in killed (SIGKILL), as Cancel does", EXPECTED)
    code = CLICKED + "answer = run(image, [layer])\n" + REPORT
    with ramp.at_work(code) as outcome:
        [plug_in] = plug_ins_at_work(ramp)
        os.kill(plug_in, signal.SIGKILL)
    answer, untouched = outcome[0]
    assert answer["status"] != "success"
    assert untouched
    again, _ = ramp.json("answer = run(image, [layer])\n" + REPORT)
    assert again["status"] == "success"
    deadline = time.monotonic() + 60
    while plug_ins_at_work(ramp):  # the second one may take a moment to end
        assert time.monotonic() < deadline, "a process of the plug-in is left"
        time.sleep(0.05)
    fault.saw("GIMP ended the procedure. Image untouched. Next run: success.")


def plug_ins_at_work(ramp: RampSession) -> list[int]:
    """The processes of our plug-in in this GIMP."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (place / "cmdline").read_bytes()
            ours = f"SAMA_HOME={ramp.home}".encode() in (place / "environ").read_bytes().split(b"\0")
            if ours and b"sama_select.py" in command:
                found.append(int(place.name))
    return found


def test_half_an_answer_changes_nothing(ramp: RampSession, fault):
    fault("in GIMP: engine hangs up in the middle of its answer", EXPECTED)
    ramp.order(truncate=True)
    answer, untouched = ramp.json(CLICKED + "answer = run(image, [layer])\n" + REPORT)
    assert answer["status"] == "execution_error"
    assert untouched
    ramp.order()
    again, _ = ramp.json("answer = run(image, [layer])\n" + REPORT)
    assert again["status"] == "success"
    fault.saw(f"“{answer['error']}”", "Image untouched. Next run: success.")


@pytest.mark.parametrize(("status", "expected"), [(422, "calling_error"), (500, "execution_error")])
def test_the_engines_own_words_reach_the_user(ramp: RampSession, status: int, expected: str):
    ramp.order(fail={"code": "some", "status": status, "message": "It is raining. Take an umbrella."})
    answer, untouched = ramp.json(CLICKED + "answer = run(image, [layer])\n" + REPORT)
    assert (answer["status"], answer["error"]) == (expected, "It is raining. Take an umbrella.")
    assert untouched


def test_an_engine_that_forgets_gets_the_picture_again(ramp: RampSession):
    ramp.order(forget=True)
    first, second = ramp.json(
        CLICKED + 'print(json.dumps([run(image, [layer])["status"], run(image, [layer])["status"]]))'
    )
    assert (first, second) == ("success", "success")


@pytest.mark.parametrize("content", ["", "{}", "garbage", '{"port": "x", "token": 1}', '{"port": 1, "token": "t"}'])
def test_a_spoilt_state_file_leads_to_a_fresh_engine(ramp: RampSession, content: str):
    ramp.json(CLICKED + "answer = run(image, [layer])\n" + REPORT)
    ramp.kill()
    (ramp.home / "run" / "engine.json").write_text(content)
    answer, _ = ramp.json("answer = run(image, [layer])\n" + REPORT)
    assert answer["status"] == "success"


def test_an_engine_of_another_protocol_makes_room(ramp: RampSession):
    ramp.json(CLICKED + "answer = run(image, [layer])\n" + REPORT)
    old = ramp.pid()
    state = ramp.home / "run" / "engine.json"
    (ramp.home / "orders.json").write_text(json.dumps({"hello": {"protocol": 99}, "only": old}))
    answer, _ = ramp.json("answer = run(image, [layer])\n" + REPORT)
    assert answer["status"] == "success"
    assert json.loads(state.read_text())["pid"] != old


def without_engine(ramp: RampSession) -> None:
    try:
        ramp.kill()
    except RuntimeError:
        return


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (None, "is not installed"),
        ("garbage", "cannot be read"),
        ("[]", "does not say how to start"),
        ('{"python": "/nowhere/python", "args": []}', "cannot be started"),
        ('{"python": "/bin/sh", "args": ["-c", "echo no module named torch; exit 3"]}', "no module named torch"),
    ],
)
def test_an_engine_that_cannot_start_is_named_with_a_remedy(ramp: RampSession, record: str | None, error: str):
    without_engine(ramp)
    file = ramp.home / "install.json"
    good = file.read_text()
    try:
        file.unlink() if record is None else file.write_text(record)
        answer, untouched = ramp.json(CLICKED + "answer = run(image, [layer])\n" + REPORT)
    finally:
        file.write_text(good)
    assert answer["status"] == "execution_error"
    assert error in answer["error"]
    assert "installer/install.py" in answer["error"]
    assert untouched
