"""The whole way of an ordinary user with a real GIMP: install, find the menu entries, do the main job, uninstall."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator

import pytest
from throwaway_machine import ROOT

sys.path.append(str(ROOT / "tests" / "gimp"))
from ordinary_user import OrdinaryUser
from sandbox import GimpNotFound, find_gimp

PHOTO = ROOT / "demo" / "photos" / "chelsea.png"
#: On the cat.
CLICKS = [(110.0, 60.0), (250.0, 180.0), (60.0, 270.0)]

MENUS = """
import json
known = {}
for name in ("plug-in-sama-select", "plug-in-sama-alpha-matte"):
    procedure = Gimp.get_pdb().lookup_procedure(name)
    known[name] = procedure and [procedure.get_menu_label(), list(procedure.get_menu_paths())]
"""
OPEN = """
img = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({photo!r}))
layer = img.get_layers()[0]
path = Gimp.Path.new(img, "clicks")
img.insert_path(path, None, 0)
control = [number for point in {clicks!r} for _ in range(3) for number in point]
path.stroke_new_from_points(Gimp.PathStrokeType.BEZIER, control, False)
box = Gegl.Rectangle.new(0, 0, img.get_width(), img.get_height())
"""
JOBS = """
def call(name, **more):
    procedure = Gimp.get_pdb().lookup_procedure(name)
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", img)
    config.set_core_object_array("drawables", [layer])
    config.set_property("include-path", path)
    for key, value in more.items():
        config.set_property(key, value)
    result = procedure.run(config)
    return [int(result.index(0)), Gimp.get_pdb().get_last_error()]


def levels(data):
    return [len(data), sum(v > 127 for v in data), sum(0 < v < 255 for v in data)]


answers = [call("plug-in-sama-select")]
answers.append(levels(img.get_selection().get_buffer().get(box, 1.0, "Y u8", Gegl.AbyssPolicy.NONE)))
answers.append(call("plug-in-sama-alpha-matte", output="alpha"))
answers.append(levels(layer.get_buffer().get(box, 1.0, "A u8", Gegl.AbyssPolicy.NONE)))
"""
SUCCESS = [3, "success"]


@pytest.fixture(params=["3.0", "3.2"])
def user(request: pytest.FixtureRequest) -> Iterator[OrdinaryUser]:
    try:
        gimp = find_gimp(series=request.param)
    except GimpNotFound as error:
        pytest.fail(str(error))
    user = OrdinaryUser(gimp)
    yield user
    user.remove()


def test_an_empty_home_is_empty_again_when_installing_is_taken_back(user: OrdinaryUser):
    assert user.user_id() != 0
    text = user.install("--python", user.python)
    assert "Engine: works, on cpu" in text
    assert f"GIMP {user.gimp.version}: knows both of SAMA's commands." in text
    assert "Filters → SAMA Select… and Layer → Add SAMA Alpha Matte…" in text
    assert "Restart GIMP" in text
    picture = user.sama_home / "logs" / "self-check.png"
    assert str(picture) in text
    assert picture.is_file()
    assert (user.profile / "plug-ins" / "sama_select" / "sama_select.py").is_file()
    # The engine that was started for the trial has ended.
    assert not (user.sama_home / "run" / "engine.json").exists()

    own = [path for path in user.contents() if path.startswith((".local/share/sama-gimp", ".config/GIMP"))]
    assert sorted(user.contents()) == sorted({*own, ".local", ".local/share", ".config"})
    user.uninstall()
    assert user.contents() == {}
    assert list(user.temporary.iterdir()) == []


def test_menu_entries_main_job_and_nothing_left_but_what_was_to_be_kept(user: OrdinaryUser):
    photo = user.folder / "photo.png"
    shutil.copyfile(PHOTO, photo)
    opened = OPEN.format(photo=str(photo), clicks=CLICKS)
    user.run_gimp(MENUS + opened + "img.delete()\nassert not any(known.values()), known")
    before = user.contents()
    assert any(name.startswith(f".config/GIMP/{user.series}") for name in before)

    user.install("--python", user.python, "--no-self-check")
    output = user.run_gimp(MENUS + opened + JOBS + "print('ANSWER' + json.dumps([known, answers]))\nimg.delete()")
    line = next(line for line in output.splitlines() if line.startswith("ANSWER"))
    known, (selected, selection, matted, alpha) = json.loads(line.removeprefix("ANSWER"))
    assert known == {
        "plug-in-sama-select": ["_SAMA Select…", ["<Image>/Filters"]],
        "plug-in-sama-alpha-matte": ["Add SAMA _Alpha Matte…", ["<Image>/Layer"]],
    }
    assert (selected, matted) == (SUCCESS, SUCCESS)
    for pixels, inside, _ in (selection, alpha):
        assert pixels == 451 * 300
        assert 0.3 < inside / pixels < 0.95
    assert alpha[2] > 100, "a matte has soft edges"

    weights = user.sama_home / "weights" / "sam_vit_b.pth"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    user.uninstall("--keep-weights")
    after = user.contents()
    kept = {str(path.relative_to(user.home)) for path in (user.sama_home, weights.parent, weights)}
    assert set(after) - set(before) == kept
    assert set(before) - set(after) == set()
    # GIMP's list of plug-ins is GIMP's own; it drops SAMA from it at its next start.
    user.run_gimp("pass")
    weights.unlink()
    mentions = [path for path in user.home.rglob("*") if path.is_file() and b"sama" in path.read_bytes().lower()]
    assert mentions == []
