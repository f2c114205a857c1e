"""What the plug-in tells its users names the fields of its dialogs as they are labelled there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "gimp_plugin" / "sama_select"
#: Words in quotes that are no labels: what a path may be called, and options.
OTHERS = {"exclude"}


def strings(file):
    return [
        node.value
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_every_field_that_a_message_names_is_in_the_dialog():
    labels = {text.replace("_", "") for text in strings(FOLDER / "sama_select.py")}
    named = {
        name for file in FOLDER.rglob("*.py") for text in strings(file) for name in re.findall("“([^”%…]+)”", text)
    }
    assert {"Clicks on the thing", "Operation", "Source", "Decontaminate colours", "Feather"} <= named
    assert named - OTHERS <= labels
