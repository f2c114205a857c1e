"""The command line where no model is needed: what it refuses, how it says so, and what the doctor sees."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sama_core import __version__
from sama_core.cli import checks, main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photo(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMA_HOME", str(tmp_path / "sama home"))
    Image.new("RGB", (60, 40), (10, 20, 30)).save(tmp_path / "photo.png")
    Image.new("L", (60, 40)).save(tmp_path / "nothing.png")
    Image.new("L", (30, 40), 255).save(tmp_path / "narrow.png")
    Image.new("L", (16400, 2)).save(tmp_path / "wide.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    "argument",
    ["--help", "--version", "select --help", "matte --help", "serve --help", "doctor --help", "weights list"],
)
def test_answers_about_itself_need_neither_torch_nor_numpy(argument):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sama_core.cli", *argument.split()],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stdout
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert imported & {"torch", "numpy", "PIL", "starlette", "timm"} == set()


def test_pytorch_leaves_nothing_among_temporary_files(tmp_path):
    temporary, home = tmp_path / "temporary", tmp_path / "home"
    temporary.mkdir()
    home.mkdir()
    # As a command that needs PyTorch: this part of it makes a folder when it is imported.
    code = (
        "from sama_core.cli import info, main\n"
        "def run(options):\n"
        "    import torch._dynamo, os\n"
        "    print(os.environ['TORCHINDUCTOR_CACHE_DIR'])\n"
        "    return 0\n"
        "info.run = run\n"
        "assert main(['info', 'lite']) == 0"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TORCHINDUCTOR_CACHE_DIR"}
    places = {"TMPDIR": str(temporary), "SAMA_HOME": str(home), "PYTHONPATH": str(ROOT)}
    told = subprocess.check_output([sys.executable, "-c", code], env={**environment, **places}, text=True)
    assert Path(told.strip()) == home / "cache" / "inductor"
    assert [*temporary.iterdir(), *home.iterdir()] == []


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "frobnicate",
        "select",
        "select photo.png",
        "select photo.png -o m.png --point 1",
        "select photo.png -o m.png --point a,b",
        "select photo.png -o m.png --point 1,2,3",
        "select photo.png -o m.png --box 1,2,3",
        "select photo.png -o m.png --point 1,1 --model gigantic",
        "select photo.png -o m.png --point 1,1 --device abacus",
        "select photo.png -o m.png --point 1,1 --alpha-only",
        "matte photo.png --point 1,1",
        "serve --idle never",
        "serve --idle -3",
    ],
)
def test_bad_usage_is_status_2(photo, arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments.split())
    assert left.value.code == 2
    assert "usage: sama" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("missing.png -o m.png --point 1,1", "There is no file"),
        ("text.png -o m.png --point 1,1", "not a picture"),
        ("folder.png -o m.png --point 1,1", "is a folder"),
        ("photo.png -o m.jpg --point 1,1", "ends with .png"),
        ("photo.png -o photo.png --point 1,1", "not overwritten"),
        ("photo.png -o ./photo.png --point 1,1", "not overwritten"),
        ("photo.png -o none/m.png --point 1,1", "no folder"),
        ("photo.png -o folder.png --point 1,1", "is a folder"),
        ("photo.png -o m.png", "nothing to go on"),
        ("photo.png -o m.png --exclude 1,1", "only exclude clicks"),
        ("photo.png -o m.png --point 61,1", "outside the picture"),
        ("photo.png -o m.png --point -5,10", "outside the picture"),
        ("photo.png -o m.png --point 5,5 --exclude -.5,10", "outside the picture"),
        ("photo.png -o m.png --box -20,-20,-5,-5", "outside the picture"),
        ("photo.png -o m.png --point nan,1", "not a number"),
        ("photo.png -o m.png --box 100,100,200,200", "outside the picture"),
        ("photo.png -o m.png --mask nothing.png", "mask is empty"),
        ("photo.png -o m.png --mask narrow.png", "The mask is 30×40 but the picture is 60×40"),
        ("wide.png -o m.webp --point 1,1", "at most 16383 pixels a side, and the picture is 16400×2"),
        ("photo.png -o /proc/m.png --point 1,1", "'/proc/m.png' cannot be written"),
        ("photo.png -o m.png --mask missing.png", "There is no file"),
        ("photo.png -o nothing.png --mask nothing.png", "not overwritten"),
    ],
)
@pytest.mark.parametrize("verb", ["select", "matte"])
def test_input_that_cannot_be_used_is_status_2_and_writes_nothing(photo, verb, arguments, text, capsys):
    before = {path: path.read_bytes() for path in photo.parent.iterdir() if path.is_file()}
    assert main([verb, *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert line.startswith("sama: ") and line.endswith(".")
    assert text in line
    assert {path: path.read_bytes() for path in photo.parent.iterdir() if path.is_file()} == before


def findings(look) -> dict[str, checks.Check]:
    return {check.name: check for check in look()}


def test_doctor_finds_a_home_that_others_may_read(photo, tmp_path):
    home = tmp_path / "sama home"
    assert findings(checks.check_home)["Product folder"].ok
    home.mkdir(mode=0o700)
    assert findings(checks.check_home)["Product folder"].ok
    home.chmod(0o755)
    check = findings(checks.check_home)["Product folder"]
    assert not check.ok and check.remedy == f"chmod 700 '{home}'"


def test_doctor_finds_a_token_that_others_may_read(photo, tmp_path):
    home = tmp_path / "sama home"
    (home / "run").mkdir(parents=True)
    home.chmod(0o700)
    state = home / "run" / "engine.json"
    state.write_text("{}")
    state.chmod(0o644)
    check = findings(checks.check_home)["Product folder"]
    assert not check.ok and "engine.json" in check.detail and "chmod 600" in check.remedy


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (None, "missing"),
        ("{", "damaged"),
        ("[]", "damaged"),
        (json.dumps({"python": "/no/python", "args": [], "version": __version__}), "/no/python is missing"),
        (json.dumps({"python": sys.executable, "args": [], "version": "0.0.1"}), "version 0.0.1 is installed"),
    ],
)
def test_doctor_finds_a_bad_installation(photo, tmp_path, record, text):
    home = tmp_path / "sama home"
    home.mkdir()
    if record is not None:
        (home / "install.json").write_text(record)
    check = findings(checks.check_install_record)["Installation"]
    assert not check.ok and text in check.detail and check.remedy


def test_doctor_finds_a_good_installation(photo, tmp_path):
    home = tmp_path / "sama home"
    home.mkdir()
    record = {"schema": 1, "python": sys.executable, "args": ["-m", "sama_core.service"], "version": __version__}
    (home / "install.json").write_text(json.dumps(record))
    assert findings(checks.check_install_record)["Installation"].ok


@pytest.fixture
def profile(photo, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("GIMP3_DIRECTORY", raising=False)
    folder = tmp_path / "config" / "GIMP" / "3.0"
    folder.mkdir(parents=True)
    return folder


def install_plug_in(profile: Path, mode: int = 0o755) -> Path:
    plug_in = profile / "plug-ins" / "sama_select" / "sama_select.py"
    (plug_in.parent / "sama").mkdir(parents=True)
    (plug_in.parent / "sama" / "__init__.py").touch()
    plug_in.write_text("#!/usr/bin/env python3\n")
    plug_in.chmod(mode)
    return plug_in


def test_doctor_finds_the_plug_in_in_each_gimp(profile):
    install_plug_in(profile)
    install_plug_in(profile.with_name("3.2"))
    profile.with_name("2.10").mkdir()
    found = findings(checks.check_plug_ins)
    assert {name: check.ok for name, check in found.items()} == {"GIMP plug-in, 3.0": True, "GIMP plug-in, 3.2": True}


def test_doctor_finds_a_gimp_without_the_plug_in(profile):
    check = findings(checks.check_plug_ins)["GIMP plug-in, 3.0"]
    assert not check.ok and "installer" in check.remedy


def test_doctor_finds_a_plug_in_that_was_copied_without_its_package(profile):
    package = install_plug_in(profile).with_name("sama") / "__init__.py"
    package.unlink()
    check = findings(checks.check_plug_ins)["GIMP plug-in, 3.0"]
    assert not check.ok and check.detail == f"{package} is missing"


def test_doctor_finds_a_plug_in_that_gimp_ignores(profile):
    plug_in = install_plug_in(profile, mode=0o644)
    check = findings(checks.check_plug_ins)["GIMP plug-in, 3.0"]
    assert not check.ok and check.remedy == f"chmod +x '{plug_in}'"
    assert stat.S_IMODE(plug_in.stat().st_mode) == 0o644
    plug_in.chmod(0o755)
    plug_in.rename(plug_in.with_name("another.py"))
    assert not findings(checks.check_plug_ins)["GIMP plug-in, 3.0"].ok


def test_doctor_looks_where_gimp3_directory_points(profile, monkeypatch, tmp_path):
    monkeypatch.setenv("GIMP3_DIRECTORY", str(tmp_path / "elsewhere"))
    install_plug_in(tmp_path / "elsewhere")
    assert {name: check.ok for name, check in findings(checks.check_plug_ins).items()} == {
        "GIMP plug-in, elsewhere": True
    }


def test_doctor_looks_where_the_installer_put_the_plug_in(profile, tmp_path):
    install_plug_in(profile)
    other = install_plug_in(tmp_path / "other profile", mode=0o644)
    (tmp_path / "sama home").mkdir()
    (tmp_path / "sama home" / "manifest.json").write_text(json.dumps({"files": [str(other), str(other) + "x"]}))
    found = findings(checks.check_plug_ins)
    assert {name: check.ok for name, check in found.items()} == {
        "GIMP plug-in, 3.0": True,
        "GIMP plug-in, other profile": False,
    }


def test_doctor_says_when_there_is_no_gimp(profile):
    profile.rmdir()
    assert not findings(checks.check_plug_ins)["GIMP plug-in"].ok


def test_doctor_knows_a_missing_engine_from_a_deaf_one(photo, tmp_path):
    run = tmp_path / "sama home" / "run"
    assert findings(checks.check_engine)["Engine process"].ok
    run.mkdir(parents=True)
    (run / "engine.json").write_text(json.dumps({"port": 1, "token": "t", "pid": 1}))
    check = findings(checks.check_engine)["Engine process"]
    assert check.ok and "No engine is running" in check.detail
    with (run / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check = findings(checks.check_engine)["Engine process"]
        assert not check.ok and "End process 1" in check.remedy
        (run / "engine.json").write_text("{")
        check = findings(checks.check_engine)["Engine process"]
        assert not check.ok and "try again" in check.remedy


def test_check_that_breaks_is_a_finding(photo, monkeypatch):
    def broken():
        raise RuntimeError("out of order")
        yield

    for name in ("check_packages", "check_device", "check_weights", "check_click"):
        monkeypatch.setattr(checks, name, broken)
    broken_ones = [check for check in checks.all_checks() if "out of order" in check.detail]
    assert len(broken_ones) == 4
    assert not any(check.ok for check in broken_ones)
    assert all(check.remedy for check in broken_ones)
