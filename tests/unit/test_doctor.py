"""What the doctor finds on machines of all kinds, and that its report gives nobody away."""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from sama_core import gimp, paths
from sama_core.cli import checks, gimp_checks, machine_checks, main
from sama_core.cli.machine_checks import Nvidia, TorchBuild, judge
from sama_core.cli.report import TITLE, Check, report
from sama_core.gimp import Place

USER = "zoë"
TOKEN = "s3cret-Token_of-the-engine"
PIXELS = np.random.default_rng(5).bytes(9000)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The home folder of somebody whose computer has a GIMP, an installation and a log."""
    home = tmp_path / "home" / USER
    home.mkdir(parents=True)
    for name, value in {"HOME": home, "USERPROFILE": home, "USER": USER, "LOGNAME": USER, "USERNAME": USER}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("SAMA_HOME", str(home / ".local" / "share" / "sama-gimp"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.delenv("GIMP3_DIRECTORY", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "atelier-pc.example")
    monkeypatch.setattr(platform, "node", lambda: "Atelier-PC")
    (home / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    paths.state_file().parent.mkdir(parents=True)
    paths.state_file().write_text(json.dumps({"port": 1, "token": TOKEN, "pid": 1}))
    return home


def found(look) -> dict[str, Check]:
    return {check.name: check for check in look()}


CPU = TorchBuild("2.6.0+cpu", None, None, False, False)
CUDA12, CUDA13 = TorchBuild("2.6.0", "12.4", None, True, False), TorchBuild("2.9.0", "13.0", None, False, False)
CARD = Nvidia("NVIDIA RTX 4070", "550.54", (12, 4))


@pytest.mark.parametrize(
    ("build", "nvidia", "amd", "apple", "ok", "text"),
    [
        (CPU, None, False, False, True, "for the processor"),
        (CUDA12, None, False, False, True, "for CUDA 12.4"),
        (CUDA12, CARD, False, False, True, "driver 550.54, up to CUDA 12.4"),
        (CPU, CARD, False, False, False, "the card is not used"),
        (CUDA13, CARD, False, False, False, "the driver is too old"),
        (CUDA13, Nvidia("NVIDIA", "580.1", (13, 0)), False, False, False, "PyTorch cannot use the card"),
        (CUDA13, Nvidia("NVIDIA", "580.1", None), False, False, False, "PyTorch cannot use the card"),
        (CPU, None, True, False, True, "an AMD card is here and is not used"),
        (TorchBuild("2.6", None, "6.2", True, False), None, True, False, True, "ROCm 6.2; an AMD card is here"),
        (TorchBuild("2.6", None, "6.2", False, False), None, True, False, False, "cannot use the AMD card"),
        (TorchBuild("2.6", None, None, False, True), None, False, True, True, "for Apple silicon"),
        (TorchBuild("2.6", None, None, False, False), None, False, True, False, "for the processor"),
    ],
)
def test_pytorch_s_build_is_judged_by_the_machine(build, nvidia, amd, apple, ok, text):
    check = judge(build, nvidia, amd, apple)
    assert check.ok is ok and text in check.detail
    assert ok or check.remedy


@pytest.mark.skipif(os.name != "posix", reason="a script stands for the driver's program")
def test_an_nvidia_card_is_known_by_its_driver_s_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine_checks.find_nvidia() is None
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\nif [ -n "$1" ]; then echo "NVIDIA RTX 4070, 550.54"; '
        'else echo "| NVIDIA-SMI 550.54   Driver Version: 550.54   CUDA Version: 12.4 |"; fi\n'
    )
    program.chmod(0o755)
    assert machine_checks.find_nvidia() == CARD
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed' >&2; exit 9\n")
    assert machine_checks.find_nvidia() is None


def test_a_full_disk_and_little_memory_are_named(home, monkeypatch):
    assert found(machine_checks.check_disk)["Disk space"].ok
    monkeypatch.setattr(machine_checks, "LEAST_DISK", 2**60)
    monkeypatch.setattr(machine_checks, "LEAST_MEMORY", 2**60)
    assert "Make room" in found(machine_checks.check_disk)["Disk space"].remedy
    if sys.platform == "linux":
        assert "Close other programs" in found(machine_checks.check_memory)["Memory"].remedy


def test_the_log_is_where_the_engine_writes_it(home):
    check = found(checks.check_log)["Log"]
    assert check.ok and check.detail.startswith(f"{paths.log_file()} (not there yet")
    paths.log_file().parent.mkdir()
    paths.log_file().write_text("x")
    assert found(checks.check_log)["Log"].detail.startswith(f"{paths.log_file()} (1 files")


@pytest.mark.skipif(os.name != "posix", reason="a script stands for GIMP")
def test_gimps_are_named_with_their_versions(home, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    place = Place(sys.platform, tmp_path, home, {"PATH": str(tmp_path)})
    monkeypatch.setattr(gimp, "this_place", lambda: place)
    assert found(gimp_checks.check_gimps)["GIMP"].ok, "there are settings of GIMP 3"
    (home / ".config" / "GIMP" / "3.0").rmdir()
    assert not found(gimp_checks.check_gimps)["GIMP"].ok
    for name, version in (("gimp", "2.10.36"), ("gimp-console-3.0", "3.0.4")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho GNU Image Manipulation Program version {version}\n")
        (tmp_path / name).chmod(0o755)
        check = found(gimp_checks.check_gimps)["GIMP"]
        assert version in check.detail
        assert check.ok is version.startswith("3.")
        assert check.ok or "GIMP 3.0 or newer" in check.remedy


def test_menu_entries_are_those_that_gimp_remembers(home):
    profile = home / ".config" / "GIMP" / "3.0"
    plug_in = profile / "plug-ins" / "sama_select" / "sama_select.py"
    assert not found(gimp_checks.check_menu_entries), "that the plug-in is missing is another check's finding"
    plug_in.parent.mkdir(parents=True)
    plug_in.write_text("")
    os.utime(plug_in, (1000, 1000))
    look = gimp_checks.check_menu_entries
    assert "when GIMP is started" in found(look)["Menu entries, 3.0"].detail
    (profile / "pluginrc").write_text('(proc-def "plug-in-sama-select" 1\n')
    check = found(look)["Menu entries, 3.0"]
    assert not check.ok and "Layer → Add SAMA Alpha Matte…" in check.detail and "python3-gi" in check.remedy
    os.utime(profile / "pluginrc", (900, 900))
    assert found(look)["Menu entries, 3.0"].ok, "GIMP has not been started since"
    with (profile / "pluginrc").open("a") as file:
        file.write('(proc-def "plug-in-sama-alpha-matte" 1\n')
    assert "Filters → SAMA Select…" in found(look)["Menu entries, 3.0"].detail


def test_adapters_are_looked_into(home):
    look = found(checks.check_adapters)
    assert look["SAMA's modules, lite"].ok and look["SAMA's modules, vit_b"].ok
    paths.weights_dir().mkdir()
    (paths.weights_dir() / "sama_vit_b.safetensors").write_bytes(b"damaged")
    check = found(checks.check_adapters)["SAMA's modules, vit_b"]
    assert not check.ok and check.remedy


def _personal_log(home: Path) -> str:
    picture = base64.b64encode(PIXELS).decode()
    return (
        f'2026-11-24 INFO x: token {TOKEN}\n  File "{home}/.local/share/sama-gimp/engine/x.py", line 1\n'
        f"cannot read {home}/Pictures/wedding.jpg on ATELIER-PC for {USER} or {USER.upper()}@atelier-pc.example\n"
        f"C:\\Users\\{USER}\\Pictures and C:\\\\Users\\\\Other\\\\a and /home/another one/b\n"
        f"{picture}\n\x00\x01\ufffd\n"
    )


def test_the_report_gives_nobody_away(home, tmp_path, capsys, monkeypatch):
    paths.log_file().parent.mkdir()
    paths.log_file().write_text(_personal_log(home), encoding="utf-8")
    (paths.home() / "install.json").write_text(json.dumps({"python": f"{paths.home()}/engine/bin/python", "args": []}))
    monkeypatch.setattr(checks, "check_click", lambda: iter([Check("A click", False, f"{home} broke", f"Mend {home}")]))
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--report", "report.md"]) == 1
    assert "The report is in report.md" in capsys.readouterr().out
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for secret in (USER, "atelier", TOKEN, "another", "other\\", str(home), str(tmp_path / "home")):
        assert secret.lower() not in text.lower(), secret
    assert base64.b64encode(PIXELS[:600]).decode() not in text
    assert not re.search(r"[0-9A-Za-z+/]{301,}", text), "nothing as long as a picture"
    for wanted in ("HOME/Pictures/", "SAMA_HOME/engine/x.py", "NOT WELL A click: HOME broke", "Mend HOME", "TOKEN"):
        assert wanted in text
    for name in ("Python", "Disk space", "Engine process", "Log", "GIMP", "Packages", "PyTorch's build", "Model lite"):
        assert re.search(rf"^- (ok|NOT WELL) {name}: ", text, re.MULTILINE), name


def test_a_report_replaces_a_report_and_nothing_else(home, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(checks, "all_checks", lambda: iter([Check("One", True, "well")]))
    target = tmp_path / "report.md"
    assert main(["doctor", "--report", str(target)]) == 0
    assert main(["doctor", "--json", "--report", str(target)]) == 0
    assert target.read_text().startswith(TITLE)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(PIXELS)
    assert main(["doctor", "--report", str(photo)]) == 2
    assert photo.read_bytes() == PIXELS
    assert main(["doctor", "--report", str(tmp_path)]) == 2
    assert "Give the name of a file." in capsys.readouterr().err


def test_a_name_within_another_word_is_left_alone(home, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "torch")
    text = report([Check("Packages", True, "torch 2.6, torchvision 0.21, zoëtrope")])
    assert "COMPUTER 2.6, torchvision 0.21, zoëtrope" in text
