"""The two commands from arguments to result, apart from how GIMP calls them and how they are asked for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import List, NamedTuple

from gi.repository import Gimp, GLib

from . import changes, collect, cutout, job, memory, records, source, unseen, write
from .place import place
from .plan import NEW_LAYER, plan_matte
from .timing import Steps


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
    visible = config.get_property("source") == source.VISIBLE
    with changes.told_in_words(image, [] if visible else drawables):
        seen = _Question(image, config, "select", steps)
        operation, feather = config.get_property("operation"), config.get_property("feather")
        with _select_view(image, drawables, config) as view:
            layer = None if visible else source.the_layer(image, drawables)
            states = unseen.SelectStates(image, layer, view.frame, operation)
            seen.take(view)
        answer = seen.ask(False)
        with steps.step("check"), _select_view(image, drawables, config) as view:
            frame, answer = view.frame, seen.fitted(answer, view)
        with steps.step("write"), write.one_undo_step(image):
            write.select(image, frame, answer.alpha, operation, feather)
            notes = states.after()
            memory.keep(image, seen.used)
            Gimp.displays_flush()
    _finish("select", answer, steps)
    return Result(answer.score, answer.notes + notes)


def matte(image, drawables, config) -> Result:
    """Run Add SAMA Alpha Matte; see the procedure's help for the arguments in `config`.

    Raises:
        CallingError, ExecutionError: the image is as it was.
    """
    steps = Steps()
    with changes.told_in_words(image, drawables):
        seen = _Question(image, config, "matte", steps)
        unseen.refuse_quick_mask(image)
        plan = plan_matte(image, drawables, config)
        new_layer = plan.output == NEW_LAYER
        with plan.view() as view:
            seen.take(view, plan.find_replaced)
        decontaminate = new_layer and config.get_property("decontaminate")
        live = new_layer and cutout.keeps_effects(plan)
        foreground = seen.foreground_below_effects(plan) if decontaminate and live else None
        answer = seen.ask(decontaminate and not live)
        if live:
            answer.foreground = foreground
        with steps.step("check"):
            plan = plan_matte(image, drawables, config)
            plan.find_replaced(seen.prompt)
            with plan.view() as view:
                frame, answer = view.frame, seen.fitted(answer, view)
        states = unseen.MatteStates(image, plan.layer, plan.output, plan.visible)
        with steps.step("write"), write.one_undo_step(image):
            if new_layer:
                notes = cutout.write_new_layer(plan, frame, answer, live, seen.clicks)
            else:
                notes = write.write_matte(plan, frame, answer, seen.clicks)
            notes = notes + states.after(answer.alpha)
            memory.keep(image, seen.used)
            Gimp.displays_flush()
    _finish("matte", answer, steps)
    return Result(answer.score, answer.notes + plan.notes + notes)


@contextmanager
def _select_view(image, drawables, config):
    """Open what Select is to look at, after all that would stop it from writing has been looked for."""
    unseen.refuse_quick_mask(image, drawables)
    source.refuse_floating_selection(image)
    visible = config.get_property("source") == source.VISIBLE
    layer = None if visible else source.the_layer(image, drawables)
    with source.view(image, layer) as view:
        write.check_selectable(image, view.frame)
        yield view


class _Question:
    """What the engine is asked: first taken from the image, at last compared with what is there then."""

    def __init__(self, image, config, verb, steps):
        self.image, self.config, self.verb, self.steps = image, config, verb, steps

    def take(self, view, before_reading=None):
        """Gather prompt and picture; `before_reading` is called with the prompt in between."""
        source.check_size(view.frame)
        get, steps = self.config.get_property, self.steps
        include, exclude, use_selection = get("include-path"), get("exclude-path"), get("use-selection")
        with steps.step("collect"):
            drawn = collect.decide(self.image, include, exclude, use_selection)
            self.prompt, self.used = collect.collect(self.image, view.frame, drawn), drawn.used()
            self.selection = changes.selection_that_counts(
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
        below = source.read_without_effects(self.image, plan.layer, plan.alpha)
        return self._ask(below, self.prompt, True).foreground

    def fitted(self, answer, view):
        """Return the answer for what the view shows now, which may be a part of what was asked about.

        Raises:
            CallingError: it is something else, or the selection that takes part is.
        """
        changes.check_selection(self.selection, self.image)
        asked = (self.picture.width, self.picture.height)
        now = view.read()
        x, y = changes.corner_in(self.picture, now, view.frame.name)
        size = (now.width, now.height)
        alpha = place(answer.alpha, asked, (-x, -y), size)
        foreground = answer.foreground and place(answer.foreground, asked, (-x, -y), size, 3)
        self.clicks = records.moved(self.prompt.request(), -x, -y)
        return replace(answer, width=now.width, height=now.height, alpha=alpha, foreground=foreground)

    def _ask(self, picture, prompt, decontaminate):
        asked = job.Job(self.verb, picture, prompt, self.config.get_property("model"), decontaminate)
        # The engine may keep us waiting for long. No undo group is open meanwhile, and Cancel simply kills this
        # process: nothing has been changed by then, and the engine drops the job when the connection closes.
        return job.run_in_thread(
            lambda report: job.run(asked, report, self.steps), report=_show_progress, idle=_handle_events
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
