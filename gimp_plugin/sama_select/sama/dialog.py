"""The dialogs of an interactive run. Gtk is imported here, and this module only when there is a screen."""

from __future__ import annotations

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GimpUi, Gtk  # noqa: E402

from . import collect, launch  # noqa: E402
from .prompt import HOW_TO_CLICK  # noqa: E402


def ask(procedure, config, image, title: str, ok_label: str, arguments, remarks) -> bool:
    """Show the procedure's dialog and return whether the user said yes; the answers are in `config` then.

    Args:
        procedure: the procedure being run.
        config: its configuration, filled with the last values and the paths last chosen for this image.
        image: whose paths are offered.
        title: the window's title.
        ok_label: the label of the button that goes ahead, with its mnemonic.
        arguments: names of the arguments between the two path choosers and the model.
        remarks: sentences that the user should read before they go ahead.
    """
    GimpUi.init(procedure.get_name())
    dialog = GimpUi.ProcedureDialog.new(procedure, config, title)
    try:
        dialog.set_ok_label(ok_label)
        area = dialog.get_content_area()
        area.pack_start(_path_choosers(procedure, config, image, remarks), False, False, 0)
        dialog.fill(arguments)
        area.pack_start(_model_chooser(procedure, config), False, False, 0)
        return dialog.run()
    finally:
        dialog.destroy()


def _path_choosers(procedure, config, image, remarks):
    """Two path choosers, since GIMP 3.0 has no widget for a path argument, and what there is to say about them."""
    drawn = collect.decide(image, None, None, config.get_property("use-selection"))
    automatic = "the selection" if drawn.selection else " + ".join(path.get_name() for path in drawn.includes)
    exclude = drawn.exclude.get_name() if drawn.exclude else ""
    grid = _grid()
    _add_chooser(grid, 0, procedure, "include-path", automatic, config, image)
    _add_chooser(grid, 1, procedure, "exclude-path", exclude, config, image)
    if not image.get_paths() and Gimp.Selection.is_empty(image):
        remarks = [*remarks, HOW_TO_CLICK]
    for row, remark in enumerate(remarks, 2):
        grid.attach(Gtk.Label(label=remark, wrap=True, max_width_chars=50, xalign=0.0), 0, row, 2, 1)
    grid.show_all()
    return grid


def _add_chooser(grid, row, procedure, name, automatic, config, image):
    chooser = Gtk.ComboBoxText(hexpand=True)
    paths = image.get_paths()
    chooser.append("", "Automatic: %s" % automatic if automatic else "None")
    for path in paths:
        chooser.append(str(path.get_id()), path.get_name())
    _show_chosen(chooser, config.get_property(name), paths)
    by_id = {str(path.get_id()): path for path in paths}
    chooser.connect("changed", lambda widget: config.set_property(name, by_id.get(widget.get_active_id())))
    # The dialog's Reset button changes the configuration behind the chooser's back.
    follow = config.connect("notify::" + name, lambda *_: _show_chosen(chooser, config.get_property(name), paths))
    chooser.connect("destroy", lambda _: config.disconnect(follow))
    _attach(grid, row, procedure, name, chooser)


def _show_chosen(chooser, path, paths):
    chosen = str(path.get_id()) if path in paths else ""
    if chooser.get_active_id() != chosen:
        chooser.set_active_id(chosen)


def _model_chooser(procedure, config):
    """A list of the models that are there, into which another name can be typed."""
    chooser = Gtk.ComboBoxText.new_with_entry()
    chooser.set_hexpand(True)
    for name in launch.models():
        chooser.append_text(name)
    entry = chooser.get_child()
    entry.set_text(config.get_property("model"))
    entry.connect("changed", lambda widget: _set_model(config, widget.get_text().strip()))
    follow = config.connect("notify::model", lambda *_: _show_model(entry, config.get_property("model")))
    chooser.connect("destroy", lambda _: config.disconnect(follow))
    grid = _grid()
    _attach(grid, 0, procedure, "model", chooser)
    grid.show_all()
    return grid


def _set_model(config, name):
    if config.get_property("model") != name:
        config.set_property("model", name)


def _show_model(entry, name):
    if entry.get_text().strip() != name:
        entry.set_text(name)


def _grid():
    return Gtk.Grid(column_spacing=6, row_spacing=6, border_width=12)


def _attach(grid, row, procedure, name, chooser):
    """Put a chooser beside the label of its argument."""
    argument = procedure.find_argument(name)
    caption = Gtk.Label(label=argument.nick + ":", use_underline=True, xalign=0.0, mnemonic_widget=chooser)
    chooser.set_tooltip_text(argument.blurb)
    grid.attach(caption, 0, row, 1, 1)
    grid.attach(chooser, 1, row, 1, 1)
