"""A command as GIMP calls it: the dialog before it, and return values from whatever comes of it.

Imports little: an error of any other module is to become a message.
"""

from __future__ import annotations

import sys
from typing import List, NamedTuple

from gi.repository import Gimp, GLib, GObject

from .errors import CallingError, PluginError

PATHS = ("include-path", "exclude-path")


class Call(NamedTuple):
    """What GIMP hands over; `verb` is select or matte."""

    verb: str
    procedure: Gimp.Procedure
    run_mode: Gimp.RunMode
    image: Gimp.Image
    drawables: List[Gimp.Drawable]
    config: Gimp.ProcedureConfig


def run(call: Call, title: str, ok_label: str, fields: List[str]) -> Gimp.ValueArray:
    """Run the command and turn whatever happens into return values: an uncaught exception would lose its text.

    Args:
        call: the call.
        title, ok_label, fields: of the dialog, see `dialog.ask`.
    """
    status = Gimp.PDBStatusType
    try:
        return _run(call, title, ok_label, fields)
    except PluginError as error:
        if sys.stderr is not None and call.run_mode != Gimp.RunMode.NONINTERACTIVE:
            # The window that GIMP shows for it is soon closed; a terminal keeps the words for a report.
            print("SAMA:", error, file=sys.stderr)
        kind = status.CALLING_ERROR if isinstance(error, CallingError) else status.EXECUTION_ERROR
        return call.procedure.new_return_values(kind, GLib.Error(str(error)))
    except Exception as error:
        import traceback

        if sys.stderr is not None:
            traceback.print_exc()
        text = "SAMA met a fault of its own (%s: %s). Undo, try again, and please report it." % (
            type(error).__name__,
            error,
        )
        return call.procedure.new_return_values(status.EXECUTION_ERROR, GLib.Error(text))


def _run(call, title, ok_label, fields):
    from . import memory
    from .run import matte, select

    procedure, image, config = call.procedure, call.image, call.config
    by_hand, notes = call.run_mode != Gimp.RunMode.NONINTERACTIVE, []
    if by_hand:
        # GIMP keeps the values for the next time, but not the paths; the image does. Of others' paths none is meant.
        include, exclude, notes = memory.chosen(image)
        for name, path in zip(PATHS, (include, exclude)):
            config.set_property(name, path)
    if call.run_mode == Gimp.RunMode.INTERACTIVE:
        from . import dialog, unseen

        remarks = notes + unseen.remarks(image, call.drawables)
        if not dialog.ask(procedure, config, image, title, ok_label, fields, remarks):
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
        notes = []
    try:
        if by_hand:
            memory.choose(image, *map(config.get_property, PATHS))
        result = (select if call.verb == "select" else matte)(image, call.drawables, config)
    finally:
        if by_hand:
            # GIMP would try to keep these too, and say on the console that it cannot.
            for name in PATHS:
                config.set_property(name, None)
    notes = "\n".join(notes + result.notes)
    if by_hand and notes:
        Gimp.message(notes)
    values = procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())
    values.remove(2)
    values.remove(1)
    values.append(GObject.Value(GObject.TYPE_DOUBLE, min(1.0, max(0.0, result.score))))
    values.append(GObject.Value(GObject.TYPE_STRING, notes))
    return values
