"""Larger models with the installer, in text and for programs: offered, asked for, downloaded or taken from a file.

The list is the real one; an engine that stands for the real one is asked to get them, but for the last test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from throwaway_machine import Machine

NAMES = "sam2.1_tiny, sam2.1_small, sam2.1_base_plus, sam2.1_large, vit_b, vit_l, vit_h"

#: Notes what it is asked for; has everything but vit_l.
STAND_IN = """
import json, os, sys
with open(os.path.join(os.environ["HOME"], "asked"), "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if "vit_l" in sys.argv:
    sys.exit("sama: It cannot be reached.")
print(json.dumps({"event": "progress", "done": 3, "total": 4, "text": "Downloading"}))
print(json.dumps({"event": "done"}))
"""


@pytest.fixture
def options(machine: Machine, tmp_path: Path) -> list:
    """Options for an installation with the stand-in, and a GIMP to install into."""
    machine.add_gimp("3.0.4")
    folder = tmp_path / "engine with models"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    package = next(folder.glob("lib/python3*/site-packages")) / "sama_core"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "0.1.0"\n')
    (package / "cli.py").write_text(STAND_IN)
    return ["--python", folder / "bin" / "python", "--no-self-check"]


def asked(machine: Machine) -> list[str]:
    file = machine.home / "asked"
    return file.read_text().splitlines() if file.exists() else []


def test_models_are_offered_with_size_licence_and_needs(machine, options):
    done = machine.run(*options, answers="y\nvit_x\nvit_b, vit_h\n")
    assert done.returncode == 0, done.stderr
    assert "vit_b: 375 MB, licence Apache-2.0; needs 1.4 GB of memory" in done.stdout
    assert (
        "Please say one or more of sam2.1_tiny, sam2.1_small, sam2.1_base_plus, sam2.1_large, vit_b, vit_l, vit_h"
        in done.stdout
    )
    assert asked(machine) == ["weights get vit_b --json", "weights get vit_h --json"]


@pytest.mark.parametrize("answers", ["y\n\n", "y\n", "n\nvit_b\n"])
def test_no_model_is_fetched_that_nobody_wants(machine, options, answers):
    machine.run(*options, answers=answers)
    assert asked(machine) == []


def test_without_questions_only_the_models_that_options_name_are_fetched(machine, options):
    assert "larger ones" not in machine.install(*options)
    assert asked(machine) == []
    file = machine.folder / "a file.pth"
    text = machine.install(*options, "--model", "vit_b", "--model", f"vit_h={file}")
    assert "[1/1] Get the models" in text
    assert asked(machine) == ["weights get vit_b --json", f"weights take vit_h {file} --json"]


def test_model_that_is_here_is_not_fetched_again(machine, options):
    machine.install(*options)
    weights = machine.sama_home / "weights" / "sam_vit_b_01ec64.pth"
    weights.parent.mkdir()
    with weights.open("wb") as file:
        file.truncate(375_042_383)
    machine.install(*options, "--model", "vit_b")
    assert asked(machine) == []


def test_model_that_cannot_be_had_is_told_and_sama_works_without(machine, options):
    done = machine.run("--yes", *options, "--model", "vit_l", "--model", "vit_b")
    assert done.returncode == 1
    assert "SAMA for GIMP 0.1.0 is installed." in done.stderr
    assert "vit_l: It cannot be reached. To try again, run this with --model vit_l." in done.stderr
    assert asked(machine) == ["weights get vit_l --json", "weights get vit_b --json"]
    assert (machine.sama_home / "install.json").exists()


def test_without_a_network_a_model_comes_from_a_file_alone(machine, options):
    offline = ["--offline", "--wheels", machine.folder, "--text"]
    done = machine.run(*options, *offline, "--model", "vit_b")
    assert "Name its file: --model vit_b=FILE." in done.stderr
    assert "larger ones" not in machine.run(*options, *offline, answers="y\n").stdout
    assert asked(machine) == []


def test_unknown_model_is_refused_before_anything_is_done(machine, options):
    before = machine.contents()
    done = machine.run("--yes", *options, "--model", "vit_z")
    assert done.returncode == 1
    assert f"There is no model “vit_z”. Those to be had: {NAMES}." in done.stderr
    assert machine.contents() == before


def test_program_is_offered_models_and_names_those_it_wants(machine, options):
    answer = json.dumps({"agree": True, "models": ["vit_b"]}) + "\n"
    process = subprocess.Popen(
        machine.command("--json", *options),
        env=machine.variables,
        cwd=machine.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin and process.stdout
    process.stdin.write(answer)
    process.stdin.flush()
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "finished":
            break
    process.stdin.close()
    assert process.wait() == 0
    (plan,) = [event for event in events if event["event"] == "planned"]
    sizes = {offer["name"]: (offer["size"], offer["missing"]) for offer in plan["models"]}
    assert list(sizes)[-3:] == ["vit_b", "vit_l", "vit_h"]
    assert sizes["vit_b"] == (375_042_383, 375_042_383)
    assert sizes["sam2.1_tiny"] == (156_008_466, 156_008_466)
    (progress,) = [event for event in events if event["event"] == "progress"]
    assert (progress["step"], progress["done"], progress["total"]) == ("models", 3, 4)
    assert asked(machine) == ["weights get vit_b --json"]


def test_wrong_file_is_refused_by_the_real_engine(machine, tmp_path):
    machine.add_gimp("3.0.4")
    (tmp_path / "holiday.pth").write_bytes(b"not a model")
    wish = f"vit_b={tmp_path / 'holiday.pth'}"
    done = machine.run("--yes", "--python", sys.executable, "--no-self-check", "--model", wish)
    assert done.returncode == 1
    assert "it is cut short or another file" in done.stderr
    assert not list((machine.sama_home / "weights").glob("*.pth"))
