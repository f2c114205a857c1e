"""The two commands from arguments to result, apart from how GIMP calls them and how they are asked for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import List, NamedTuple

import gi

gi.require_version("Gimp", "3.0")
import sama_changes  # noqa: E402
import sama_collect  # noqa: E402
import sama_cutout  # noqa: E402
import sama_job  # noqa: E402
import sama_memory  # noqa: E402
import sama_plan  # noqa: E402
import sama_record  # noqa: E402
import sama_source  # noqa: E402
import sama_unseen  # noqa: E402
import sama_write  # noqa: E402
from gi.repository import Gimp, GLib  # noqa: E402
from sama_place import place  # noqa: E402
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
    visible = config.get_property("source") == sama_source.VISIBLE
    with sama_changes.told_in_words(image, [] if visible else drawables):
        seen = _Question(image, config, "select", steps)
        operation, feather = config.get_property("operation"), config.get_property("feather")
        with _select_view(image, drawables, config) as view:
            layer = None if visible else sama_source.the_layer(image, drawables)
            states = sama_unseen.SelectStates(image, layer, view.frame, operation)
            seen.take(view)
        answer = seen.ask(False)
        with steps.step("check"), _select_view(image, drawables, config) as view:
            frame, answer = view.frame, seen.fitted(answer, view)
        with steps.step("write"), sama_write.one_undo_step(image):
            sama_write.select(image, frame, answer.alpha, operation, feather)
            notes = states.after()
            sama_memory.keep(image, seen.used)
            Gimp.displays_flush()
    _finish("select", answer, steps)
    return Result(answer.score, answer.notes + notes)


def matte(image, drawables, config) -> Result:
    """Run Add SAMA Alpha Matte; see the procedure's help for the arguments in `config`.

    Raises:
        CallingError, ExecutionError: the image is as it was.
    """
    steps = Steps()
    with sama_changes.told_in_words(image, drawables):
        seen = _Question(image, config, "matte", steps)
        sama_unseen.refuse_quick_mask(image)
        plan = sama_plan.plan(image, drawables, config)
        new_layer = plan.output == sama_plan.NEW_LAYER
        with plan.view() as view:
            seen.take(view, plan.find_replaced)
        decontaminate = new_layer and config.get_property("decontaminate")
        live = new_layer and sama_cutout.keeps_effects(plan)
        foreground = seen.foreground_below_effects(plan) if decontaminate and live else None
        answer = seen.ask(decontaminate and not live)
        if live:
            answer.foreground = foreground
        with steps.step("check"):
            plan = sama_plan.plan(image, drawables, config)
            plan.find_replaced(seen.prompt)
            with plan.view() as view:
                frame, answer = view.frame, seen.fitted(answer, view)
        states = sama_unseen.MatteStates(image, plan.layer, plan.output, plan.visible)
        with steps.step("write"), sama_write.one_undo_step(image):
            if new_layer:
                notes = sama_cutout.write_new_layer(plan, frame, answer, live, seen.clicks)
            else:
                notes = sama_write.write_matte(plan, frame, answer, seen.clicks)
            notes = notes + states.after(answer.alpha)
            sama_memory.keep(image, seen.used)
            Gimp.displays_flush()
    _finish("matte", answer, steps)
    return Result(answer.score, answer.notes + plan.notes + notes)


@contextmanager
def _select_view(image, drawables, config):
    """Open what Select is to look at, after all that would stop it from writing has been looked for."""
    sama_unseen.refuse_quick_mask(image, drawables)
    sama_source.refuse_floating_selection(image)
    visible = config.get_property("source") == sama_source.VISIBLE
    layer = None if visible else sama_source.the_layer(image, drawables)
    with sama_source.view(image, layer) as view:
        sama_write.check_selectable(image, view.frame)
        yield view


class _Question:
    """What the engine is asked: first taken from the image, at last compared with what is there then."""

    def __init__(self, image, config, verb, steps):
        self.image, self.config, self.verb, self.steps = image, config, verb, steps

    def take(self, view, before_reading=None):
        """Gather prompt and picture; `before_reading` is called with the prompt in between."""
        sama_source.check_size(view.frame)
        get, steps = self.config.get_property, self.steps
        include, exclude, use_selection = get("include-path"), get("exclude-path"), get("use-selection")
        with steps.step("collect"):
            source = sama_collect.decide(self.image, include, exclude, use_selection)
            self.prompt, self.used = sama_collect.collect(self.image, view.frame, source), source.used()
            self.selection = sama_changes.selection_that_counts(
                self.image, view.frame, self.prompt, self.verb, use_selection
            )
        if before_reading is not None:
            before_reading(self.prompt)
        Gimp.progress_init("SAMA: reading the picture")
        with steps.step("read"):
            self.picture = view.read()

    def ask(self, decontaminate):
        """Return the engine's answer."""
        answer = self._ask(self.picture, self.prompt, decontaminate)
        answer.notes[:0] = self.prompt.notes
        self.steps.seconds["receive"] = answer.receive_seconds
        Gimp.progress_set_text("SAMA: writing the result")
        return answer

    def foreground_below_effects(self, plan):
        """Return the edge's colours as they are below the layer's effects, through which they will be seen.

        A question of its own, asked before the one for alpha: what is below may look quite different.
        """
        below = sama_source.read_without_effects(self.image, plan.layer, plan.alpha)
        return self._ask(below, self.prompt, True).foreground

    def fitted(self, answer, view):
        """Return the answer for what the view shows now, which may be a part of what was asked about.

        Raises:
            CallingError: it is something else, or the selection that takes part is.
        """
        sama_changes.check_selection(self.selection, self.image)
        asked = (self.picture.width, self.picture.height)
        now = view.read()
        x, y = sama_changes.corner_in(self.picture, now, view.frame.name)
        size = (now.width, now.height)
        alpha = place(answer.alpha, asked, (-x, -y), size)
        foreground = answer.foreground and place(answer.foreground, asked, (-x, -y), size, 3)
        self.clicks = sama_record.moved(self.prompt.request(), -x, -y)
        return replace(answer, width=now.width, height=now.height, alpha=alpha, foreground=foreground)

    def _ask(self, picture, prompt, decontaminate):
        job = sama_job.Job(self.verb, picture, prompt, self.config.get_property("model"), decontaminate)
        # The engine may keep us waiting for long. No undo group is open meanwhile, and Cancel simply kills this
        # process: nothing has been changed by then, and the engine drops the job when the connection closes.
        return sama_job.run_in_thread(
            lambda report: sama_job.run(job, report, self.steps), report=_show_progress, idle=_handle_events
        )


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
