"""The two commands from arguments to result, apart from how GIMP calls them and how they are asked for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import List, NamedTuple

from gi.repository import Gimp, GLib

from . import changes, collect, cutout, memory, records, source, unseen, write
from .job import Job, Timing, ask_engine, run_in_thread
from .place import paste
from .plan import NEW_LAYER, plan_matte


class Result(NamedTuple):
    """What a run tells its caller: the engine's own estimate of quality 0..1, and notes for the user."""

    score: float
    notes: List[str]


def select(image, drawables, config) -> Result:
    """Run SAMA Select; see the procedure's help for the arguments in `config`.

    Raises:
        CallingError, ExecutionError: the image is as it was.
    """
    timing = Timing()
    visible = config.get_property("source") == source.VISIBLE
    with changes.told_in_words(image, [] if visible else drawables):
        question = _Question(image, config, "select", timing)
        operation, feather = config.get_property("operation"), config.get_property("feather")
        with _select_reader(image, drawables, config) as reader:
            layer = None if visible else source.the_layer(image, drawables)
            states = unseen.SelectStates(image, layer, reader.place, operation)
            question.take(reader)
        answer = question.ask(False)
        with timing.step("check"), _select_reader(image, drawables, config) as reader:
            place, answer = reader.place, question.fitted(answer, reader)
        with timing.step("write"), write.one_undo_step(image):
            write.select(image, place, answer.alpha, operation, feather)
            notes = states.after()
            memory.keep(image, question.used)
            Gimp.displays_flush()
    _finish("select", answer, timing)
    return Result(answer.score, answer.notes + notes)


def matte(image, drawables, config) -> Result:
    """Run Add SAMA Alpha Matte; see the procedure's help for the arguments in `config`.

    Raises:
        CallingError, ExecutionError: the image is as it was.
    """
    timing = Timing()
    with changes.told_in_words(image, drawables):
        question = _Question(image, config, "matte", timing)
        unseen.refuse_quick_mask(image)
        plan = plan_matte(image, drawables, config)
        new_layer = plan.output == NEW_LAYER
        with plan.reader() as reader:
            question.take(reader, plan.find_replaced)
        decontaminate = new_layer and config.get_property("decontaminate")
        live = new_layer and cutout.keeps_effects(plan)
        foreground = question.foreground_below_effects(plan) if decontaminate and live else None
        answer = question.ask(decontaminate and not live)
        if live:
            answer.foreground = foreground
        with timing.step("check"):
            plan = plan_matte(image, drawables, config)
            plan.find_replaced(question.prompt)
            with plan.reader() as reader:
                place, answer = reader.place, question.fitted(answer, reader)
        states = unseen.MatteStates(image, plan.layer, plan.output, plan.visible)
        with timing.step("write"), write.one_undo_step(image):
            if new_layer:
                notes = cutout.write_new_layer(plan, place, answer, live, question.clicks)
            else:
                notes = write.write_matte(plan, place, answer, question.clicks)
            notes = notes + states.after(answer.alpha)
            memory.keep(image, question.used)
            Gimp.displays_flush()
    _finish("matte", answer, timing)
    return Result(answer.score, answer.notes + plan.notes + notes)


@contextmanager
def _select_reader(image, drawables, config):
    """Open what Select is to look at, after all that would stop it from writing has been looked for."""
    unseen.refuse_quick_mask(image, drawables)
    source.refuse_floating_selection(image)
    visible = config.get_property("source") == source.VISIBLE
    layer = None if visible else source.the_layer(image, drawables)
    with source.reader(image, layer) as reader:
        write.check_selectable(image, reader.place)
        yield reader


class _Question:
    """What the engine is asked: first taken from the image, at last compared with what is there then."""

    def __init__(self, image, config, verb, timing):
        self.image, self.config, self.verb, self.timing = image, config, verb, timing

    def take(self, reader, before_reading=None):
        """Gather prompt and pixels; `before_reading` is called with the prompt in between."""
        source.check_size(reader.place)
        get, timing = self.config.get_property, self.timing
        include, exclude, use_selection = get("include-path"), get("exclude-path"), get("use-selection")
        with timing.step("collect"):
            drawn = collect.decide(self.image, include, exclude, use_selection)
            self.prompt, self.used = collect.collect(self.image, reader.place, drawn), drawn.used()
            self.selection = changes.selection_that_counts(self.image, self.verb, drawn.selection)
        if before_reading is not None:
            before_reading(self.prompt)
        Gimp.progress_init("SAMA: reading the picture")
        with timing.step("read"):
            self.pixels = reader.read()

    def ask(self, decontaminate):
        """Return the engine's answer."""
        answer = self._ask(self.pixels, decontaminate)
        answer.notes[:0] = self.prompt.notes
        self.timing.seconds["receive"] = answer.receive_seconds
        Gimp.progress_set_text("SAMA: writing the result")
        return answer

    def foreground_below_effects(self, plan):
        """Return the edge's colours as they are below the layer's effects, through which they will be seen.

        A question of its own, asked before the one for alpha: what is below may look quite different.
        """
        below = source.read_without_effects(self.image, plan.layer, plan.alpha)
        return self._ask(below, True).foreground

    def fitted(self, answer, reader):
        """Return the answer for what there is to read now, which may be a part of what was asked about.

        Raises:
            CallingError: it is something else, or the selection that takes part is.
        """
        changes.check_selection(self.selection, self.image)
        asked = (self.pixels.width, self.pixels.height)
        now = reader.read()
        x, y = changes.corner_in(self.pixels, now, reader.place.name)
        size = (now.width, now.height)
        alpha = paste(answer.alpha, asked, (-x, -y), size)
        foreground = answer.foreground and paste(answer.foreground, asked, (-x, -y), size, 3)
        self.clicks = records.moved(self.prompt.request(), -x, -y)
        return replace(answer, width=now.width, height=now.height, alpha=alpha, foreground=foreground)

    def _ask(self, pixels, decontaminate):
        job = Job(self.verb, pixels, self.prompt, self.config.get_property("model"), decontaminate)
        # The engine may keep us waiting for long. No undo group is open meanwhile, and Cancel simply kills this
        # process: nothing has been changed by then, and the engine drops the job when the connection closes.
        return run_in_thread(
            lambda report: ask_engine(job, report, self.timing), report=_show_progress, idle=_handle_events
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


def _finish(verb, answer, timing):
    Gimp.progress_end()
    timing.write(
        verb=verb, width=answer.width, height=answer.height, device=answer.device, engine_seconds=answer.seconds
    )
