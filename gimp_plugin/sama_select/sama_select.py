#!/usr/bin/env python3
"""SAMA for GIMP 3: click on a thing and get it, as a selection or as an alpha matte.

GIMP runs this file at every query and for every call, each time in a new process, so it does nothing but register. All
arguments are declared here and not in a helper: GIMP caches them by the time stamp of this very file.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GObject  # noqa: E402

SELECT = "plug-in-sama-select"
MATTE = "plug-in-sama-alpha-matte"
WRITABLE = GObject.ParamFlags.READWRITE

PROMPT_HELP = (
    "Draw with the Path tool (B): each anchor of an open stroke is a click on the thing you want, and a closed stroke "
    "is drawn around it; one within another is a hole. A second path whose name begins with “exclude” holds clicks on "
    "what to leave out. Without clicks the current selection says what is wanted. A few precise clicks work best. All "
    "work is done on this computer."
)


def choice(*rows):
    """Return a Gimp.Choice of (name, label) rows."""
    choices = Gimp.Choice.new()
    for number, (name, label) in enumerate(rows):
        choices.add(name, number, label, "")
    return choices


class SamaSelect(Gimp.PlugIn):
    """The plug-in as GIMP sees it."""

    def do_set_i18n(self, name):
        """English only; GIMP would complain about a missing catalogue otherwise."""
        return False

    def do_query_procedures(self):
        """Return the procedures' names."""
        return [SELECT, MATTE]

    def do_create_procedure(self, name):
        """Return the procedure called `name`."""
        run = run_select if name == SELECT else run_matte
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("*")
        # Also when nothing fitting is selected: a greyed-out menu item explains nothing, the message does.
        sensitive = Gimp.ProcedureSensitivityMask
        procedure.set_sensitivity_mask(sensitive.DRAWABLE | sensitive.DRAWABLES | sensitive.NO_DRAWABLES)
        procedure.set_attribution("The SAMA for GIMP authors", "Apache License 2.0", "2026")
        if name == SELECT:
            self._describe_select(procedure)
        else:
            self._describe_matte(procedure)
        procedure.add_string_argument(
            "model", "Model _name", "Which of the engine's models does the work; lite comes with it", "lite", WRITABLE
        )
        procedure.add_double_return_value(
            "score", "Score", "The engine's own estimate of how good the result is, 0 to 1", 0.0, 1.0, 0.0, WRITABLE
        )
        procedure.add_string_return_value(
            "notes", "Notes", "Remarks on the result, one a line; empty when there are none", "", WRITABLE
        )
        return procedure

    def _describe_select(self, procedure):
        procedure.set_menu_label("_SAMA Select…")
        procedure.add_menu_path("<Image>/Filters")
        procedure.set_documentation("Click on a thing and get it as a soft selection", PROMPT_HELP, None)
        self._add_prompt_arguments(procedure)
        operations = choice(
            ("replace", "Replace the current selection"),
            ("add", "Add to the current selection"),
            ("subtract", "Subtract from the current selection"),
            ("intersect", "Intersect with the current selection"),
        )
        procedure.add_choice_argument(
            "operation", "O_peration", "How the result meets the current selection", operations, "replace", WRITABLE
        )
        procedure.add_double_argument(
            "feather",
            "_Feather",
            "Radius in pixels by which to soften the result; 0 keeps it as found",
            0.0,
            1000.0,
            0.0,
            WRITABLE,
        )
        self._add_source_argument(procedure)

    def _describe_matte(self, procedure):
        procedure.set_menu_label("Add SAMA _Alpha Matte…")
        procedure.add_menu_path("<Image>/Layer")
        procedure.set_documentation(
            "Click on a thing and cut it out to the hair: as a layer mask, alpha or a new layer", PROMPT_HELP, None
        )
        self._add_prompt_arguments(procedure)
        self._add_source_argument(procedure)
        outputs = choice(
            ("layer-mask", "Layer mask"), ("alpha", "The layer's alpha channel"), ("new-layer", "New cut-out layer")
        )
        procedure.add_choice_argument("output", "Out_put", "Where the matte goes", outputs, "layer-mask", WRITABLE)
        existing = choice(("refuse", "Stop and say so"), ("replace", "Replace it"), ("intersect", "Intersect with it"))
        procedure.add_choice_argument(
            "existing-mask",
            "If there is a mas_k",
            "What to do with a mask that the layer has already. Output alpha applies it to the alpha with intersect "
            "and drops it with replace; a new layer takes it over unless replace, and the old layer keeps it",
            existing,
            "refuse",
            WRITABLE,
        )
        procedure.add_boolean_argument(
            "decontaminate",
            "_Decontaminate colours",
            "New layer only: take the old background's colour out of hair and soft edges",
            True,
            WRITABLE,
        )

    def _add_prompt_arguments(self, procedure):
        procedure.add_path_argument(
            "include-path",
            "Cl_icks on the thing",
            "Clicks on the thing (open strokes) or outlines around it (closed strokes; one within another is a hole). "
            "None: the selected path, or the only path there is",
            True,
            WRITABLE,
        )
        procedure.add_path_argument(
            "exclude-path",
            "Clicks on what to _leave out",
            "Clicks on what does not belong to the thing. None: a path whose name begins with “exclude”",
            True,
            WRITABLE,
        )
        procedure.add_boolean_argument(
            "use-selection",
            "_Use the selection",
            "Take the current selection as a rough outline of the thing, without clicks or when it was made after "
            "them. With newer clicks it is not asked, for after a first run it is the previous answer",
            True,
            WRITABLE,
        )

    def _add_source_argument(self, procedure):
        sources = choice(("layer", "The selected layer"), ("visible", "The picture as shown"))
        procedure.add_choice_argument("source", "Sourc_e", "What to look at", sources, "layer", WRITABLE)


def run_select(procedure, run_mode, image, drawables, config, data):
    """Filters → SAMA Select."""
    from sama.procedure import Call, run

    fields = ["use-selection", "operation", "feather", "source"]
    call = Call("select", procedure, run_mode, image, drawables, config)
    return run(call, "SAMA Select", "Selec_t", fields)


def run_matte(procedure, run_mode, image, drawables, config, data):
    """Layer → Add SAMA Alpha Matte."""
    from sama.procedure import Call, run

    fields = ["use-selection", "source", "output", "existing-mask", "decontaminate"]
    call = Call("matte", procedure, run_mode, image, drawables, config)
    return run(call, "Add SAMA Alpha Matte", "_Matte", fields)


Gimp.main(SamaSelect.__gtype__, sys.argv)
