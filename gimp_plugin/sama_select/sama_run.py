"""The two commands from arguments to result, apart from how GIMP calls them and how they are asked for."""

from __future__ import annotations

from typing import List, NamedTuple

import gi

gi.require_version("Gimp", "3.0")
import sama_collect  # noqa: E402
import sama_job  # noqa: E402
import sama_memory  # noqa: E402
import sama_source  # noqa: E402
import sama_states  # noqa: E402
import sama_write  # noqa: E402
from gi.repository import Gimp, GLib  # noqa: E402
from sama_client import MAX_PIXELS, MAX_SIDE  # noqa: E402
from sama_errors import CallingError  # noqa: E402
from sama_timing import Steps  # noqa: E402


class Result(NamedTuple):
    """What a run tells its caller: the engine's own estimate of quality 0..1, and notes for the user."""

    score: float
    notes: List[str]


def select(image, drawables, config) -> Result:
    """Run SAMA Select; see the procedure's help for the arguments in `config`.

    Raises:
        CallingError, ExecutionError: the image is as it was.
    """
    steps = Steps()
    sama_states.refuse_quick_mask(image, drawables)
    sama_source.refuse_floating_selection(image)
    visible = config.get_property("source") == sama_source.VISIBLE
    layer = None if visible else sama_source.the_layer(image, drawables)
    frame = sama_source.frame_of(image, layer)
    sama_write.check_selectable(image, frame)
    operation, feather = config.get_property("operation"), config.get_property("feather")
    states = sama_states.SelectStates(image, layer, frame, operation)
    answer, used = _answer(image, layer, frame, "select", config, steps)
    with steps.step("write"), sama_write.one_undo_step(image):
        sama_write.select(image, frame, answer.alpha, operation, feather)
        notes = states.after()
        sama_memory.keep(image, used)
        Gimp.displays_flush()
    _finish("select", answer, steps)
    return Result(answer.score, answer.notes + notes)


def matte(image, drawables, config) -> Result:
    """Run Add SAMA Alpha Matte; see the procedure's help for the arguments in `config`.

    Raises:
        CallingError, ExecutionError: the image is as it was.
    """
    steps = Steps()
    sama_states.refuse_quick_mask(image)
    sama_source.refuse_floating_selection(image)
    layer = sama_source.the_layer(image, drawables)
    visible = config.get_property("source") == sama_source.VISIBLE
    frame = sama_source.frame_of(image, None if visible else layer)
    output, existing_mask = config.get_property("output"), config.get_property("existing-mask")
    sama_write.check_writable(image, layer, frame, output, existing_mask)
    states = sama_states.MatteStates(image, layer, output, visible)
    answer, used = _answer(image, None if visible else layer, frame, "matte", config, steps)
    with steps.step("write"), sama_write.one_undo_step(image):
        notes = sama_write.write_matte(image, layer, frame, answer, output, existing_mask, visible)
        notes += states.after(answer.alpha)
        sama_memory.keep(image, used)
        Gimp.displays_flush()
    _finish("matte", answer, steps)
    return Result(answer.score, answer.notes + notes)


def _answer(image, layer, frame, verb, config, steps):
    if frame.width * frame.height > MAX_PIXELS or max(frame.width, frame.height) > MAX_SIDE:
        raise CallingError(
            "%s is too large with %d×%d pixels; %d megapixels and %d pixels a side are the most. Scale or crop a copy."
            % (frame.name[0].upper() + frame.name[1:], frame.width, frame.height, MAX_PIXELS // 1_000_000, MAX_SIDE)
        )
    include, exclude = config.get_property("include-path"), config.get_property("exclude-path")
    with steps.step("collect"):
        source = sama_collect.decide(image, include, exclude, config.get_property("use-selection"))
        prompt = sama_collect.collect(image, frame, source)
    Gimp.progress_init("SAMA: reading the picture")
    with steps.step("read"):
        picture = sama_source.read(image, layer)
    decontaminate = (
        verb == "matte"
        and config.get_property("decontaminate")
        and config.get_property("output") == sama_write.NEW_LAYER
    )
    job = sama_job.Job(verb, picture, prompt, config.get_property("model"), decontaminate)
    # The engine may keep us waiting for long. No undo group is open meanwhile, and Cancel simply kills this process:
    # nothing has been changed by then, and the engine drops the job when the connection closes.
    answer = sama_job.run_in_thread(
        lambda report: sama_job.run(job, report, steps), report=_show_progress, idle=_handle_events
    )
    steps.seconds["receive"] = answer.receive_seconds
    answer.notes[:0] = prompt.notes
    Gimp.progress_set_text("SAMA: writing the result")
    return answer, source.used()


def _show_progress(fraction, text):
    Gimp.progress_set_text(text)
    if fraction is None:
        Gimp.progress_pulse()
    else:
        Gimp.progress_update(min(1.0, max(0.0, fraction)))


def _handle_events():
    """Let the dialog that has just been closed go from the screen."""
    context = GLib.MainContext.default()
    while context.pending():
        context.iteration(False)


def _finish(verb, answer, steps):
    Gimp.progress_end()
    steps.write(
        verb=verb, width=answer.width, height=answer.height, device=answer.device, engine_seconds=answer.seconds
    )
