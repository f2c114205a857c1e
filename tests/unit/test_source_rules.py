"""What docs/security.md promises of the whole source tree, looked up in its syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("sama_core", "gimp_plugin", "installer") for path in (ROOT / folder).rglob("*.py"))
#: Modules that execute what they read, or read it through those that do.
UNPICKLERS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


def offences(tree: ast.AST) -> Iterator[str]:
    """What in a module could run code that came from a file."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLERS:
            yield f"line {line}: from {node.module} import"
        # `except pickle.UnpicklingError` needs the module and runs nothing.
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if node.value.id in UNPICKLERS and name != "pickle.UnpicklingError":
                yield f"line {line}: {name}"
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name == "torch.load" and given.get("weights_only") != "True":
                yield f"line {line}: torch.load without weights_only=True"
            if name.endswith(".load") and given.get("allow_pickle", "False") != "False":
                yield f"line {line}: {name} with allow_pickle"
            if name in (
                "eval",
                "exec",
                "yaml.load",
                "torch.hub.load",
                "torch.jit.load",
                "torch.package.PackageImporter",
            ):
                yield f"line {line}: {name}"


def test_nothing_is_unpickled_or_evaluated():
    found = {
        path.relative_to(ROOT).as_posix(): [
            offence.split(": ", 1)[1] for offence in offences(ast.parse(path.read_text(encoding="utf-8")))
        ]
        for path in SOURCES
    }
    assert len(found) > 50
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.loads(b'')",
        "from pickle import loads",
        "import torch\ntorch.load('f')",
        "import torch\ntorch.load('f', weights_only=False)",
        "import numpy as np\nnp.load('f', allow_pickle=True)",
        "eval('1')",
    ],
)
def test_the_rule_itself_sees_what_it_should(code):
    assert list(offences(ast.parse(code)))


def test_the_token_is_compared_in_constant_time():
    """`==` on strings returns at the first difference, and so tells a patient listener how much was right."""
    tree = ast.parse((ROOT / "sama_core" / "service" / "security.py").read_text(encoding="utf-8"))
    [check] = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "check_token"]
    calls = [ast.unparse(node.func) for node in ast.walk(check) if isinstance(node, ast.Call)]
    assert calls.count("hmac.compare_digest") == 1
    for node in ast.walk(check):
        if isinstance(node, ast.Compare):
            assert not {"token", "given"} & {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
