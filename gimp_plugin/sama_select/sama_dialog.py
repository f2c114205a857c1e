"""The dialogs of an interactive run. Gtk is imported here, and this module only when there is a screen."""

from __future__ import annotations

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
import sama_collect  # noqa: E402
from gi.repository import Gimp, GimpUi, Gtk  # noqa: E402
from sama_prompt import HOW_TO_CLICK  # noqa: E402


def ask(procedure, config, image, title: str, ok_label: str, arguments) -> bool:
    """Show the procedure's dialog and return whether the user said yes; the answers are in `config` then.

    Args:
        procedure: the procedure being run.
        config: its configuration, filled with the last values.
        image: whose paths are offered.
        title: the window's title.
        ok_label: the label of the button that goes ahead, with its mnemonic.
        arguments: names of the arguments that follow the two path choosers.
    """
    GimpUi.init(procedure.get_name())
    dialog = GimpUi.ProcedureDialog.new(procedure, config, title)
    try:
        dialog.set_ok_label(ok_label)
        dialog.get_content_area().pack_start(_path_choosers(config, image), False, False, 0)
        dialog.fill(arguments)
        return dialog.run()
    finally:
        dialog.destroy()


def _path_choosers(config, image):
    """Two path choosers, since GIMP 3.0 has no widget for a path argument."""
    includes = sama_collect.default_include(image)
    exclude = sama_collect.default_exclude(image)
    automatic = " + ".join(path.get_name() for path in includes)
    grid = Gtk.Grid(column_spacing=6, row_spacing=6, border_width=12)
    _add_chooser(grid, 0, "Cl_icks on the thing:", "include-path", automatic, config, image)
    _add_chooser(
        grid, 1, "Clicks on what to _leave out:", "exclude-path", exclude.get_name() if exclude else "", config, image
    )
    if not image.get_paths() and Gimp.Selection.is_empty(image):
        hint = Gtk.Label(label=HOW_TO_CLICK, wrap=True, max_width_chars=50, xalign=0.0)
        grid.attach(hint, 0, 2, 2, 1)
    grid.show_all()
    return grid


def _add_chooser(grid, row, label, name, automatic, config, image):
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
    caption = Gtk.Label(label=label, use_underline=True, xalign=0.0, mnemonic_widget=chooser)
    grid.attach(caption, 0, row, 1, 1)
    grid.attach(chooser, 1, row, 1, 1)


def _show_chosen(chooser, path, paths):
    chosen = str(path.get_id()) if path in paths else ""
    if chooser.get_active_id() != chosen:
        chooser.set_active_id(chosen)
