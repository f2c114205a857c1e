"""`sama select`, `sama matte` and `sama doctor` with the real model, on a picture of a disc."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sama_core.cli import main
from sama_core.image_files import read_image, read_mask
from sama_core.inference.engine import Engine
from sama_core.prompts import Prompt

HEIGHT, WIDTH, X, Y = 240, 320, 190, 110
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
DISC = (COLUMNS - X) ** 2 + (ROWS - Y) ** 2 <= 60**2


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SAMA_DEVICE", "cpu")
    ground = np.stack([np.full_like(ROWS, 30), 60 + ROWS // 3, 170 - ROWS // 3], axis=2)
    rgb = np.where(DISC[..., None], (235, 140, 40), ground).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    return tmp_path


def contrast(alpha: np.ndarray, where: np.ndarray) -> float:
    return float(alpha[where].mean() - alpha[~where].mean())


def test_select_writes_a_mask_and_one_line(folder, capsys):
    assert main(["select", "photo.png", "--point", f"{X},{Y}", "--exclude", "20,20", "-o", "mask.png"]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(r"mask\.png  score [01]\.\d\d  cpu  \d+\.\d s\n", out)
    assert contrast(read_mask("mask.png"), DISC) > 150


def test_select_by_box_and_by_mask(folder):
    box = f"{X - 60},{Y - 60},{X + 60},{Y + 60}"
    assert main(["select", "photo.png", "--box", box, "-o", "box.tif"]) == 0
    assert contrast(read_mask("box.tif"), DISC) > 150
    Image.fromarray(((COLUMNS - X) ** 2 + (ROWS - Y) ** 2 <= 50**2).astype(np.uint8) * 255).save("rough.png")
    assert main(["select", "photo.png", "--mask", "rough.png", "-o", "from_mask.webp"]) == 0
    assert contrast(read_mask("from_mask.webp"), DISC) > 150


def test_coordinates_are_those_of_the_upright_photo(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Image.open("photo.png").save("turned.jpg", exif=exif, quality=95)
    assert main(["select", "turned.jpg", "--point", f"{HEIGHT - 1 - Y},{X}", "-o", "mask.png"]) == 0
    assert contrast(read_mask("mask.png"), np.rot90(DISC, -1)) > 150


def test_matte_writes_a_cut_out_with_clean_colours(folder, capsys):
    assert main(["matte", "photo.png", "--point", f"{X},{Y}", "-o", "cut.png"]) == 0
    assert capsys.readouterr().out.startswith("cut.png  score ")
    image = read_image("cut.png")
    assert image.alpha is not None and contrast(image.alpha, DISC) > 150
    engine = Engine()
    engine.set_image(read_image("photo.png").rgb)
    answer = engine.matte(Prompt([(X, Y)], [1]), decontaminate=True)
    assert answer.foreground is not None
    assert np.array_equal(image.rgb, answer.foreground)
    assert np.array_equal(image.alpha, answer.alpha)


def test_matte_without_clean_colours_keeps_the_photo_s(folder):
    assert main(["matte", "photo.png", "--point", f"{X},{Y}", "--no-decontaminate", "-o", "cut.tif"]) == 0
    assert np.array_equal(read_image("cut.tif").rgb, read_image("photo.png").rgb)


def test_matte_alone(folder):
    assert main(["matte", "photo.png", "--point", f"{X},{Y}", "--alpha-only", "-o", "alpha.png"]) == 0
    assert Image.open("alpha.png").mode == "L"
    assert contrast(read_mask("alpha.png"), DISC) > 150


def test_cut_out_multiplies_the_photo_s_own_transparency(folder):
    opacity = np.where(COLUMNS < X, 100, 255).astype(np.uint8)
    photo = Image.open("photo.png")
    photo.putalpha(Image.fromarray(opacity))
    photo.save("translucent.png")
    assert main(["matte", "translucent.png", "--point", f"{X},{Y}", "-o", "cut.png"]) == 0
    assert main(["matte", "photo.png", "--point", f"{X},{Y}", "--alpha-only", "-o", "matte.png"]) == 0
    alpha = read_image("cut.png").alpha
    assert alpha is not None
    exact = read_mask("matte.png") * (opacity / 255)
    assert np.abs(alpha - exact).max() <= 0.5


def test_missing_device_is_status_1(folder, capsys, monkeypatch):
    monkeypatch.setenv("SAMA_DEVICE", "abacus")
    assert main(["select", "photo.png", "--point", f"{X},{Y}", "-o", "mask.png"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("sama: There is no device named")
    assert not Path("mask.png").exists()


def test_failure_while_writing_is_status_1_and_leaves_nothing(folder, capsys, monkeypatch):
    def full_disk(self, file, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    assert main(["select", "photo.png", "--point", f"{X},{Y}", "-o", "mask.png"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "No space left on device" in captured.err
    assert sorted(path.name for path in folder.iterdir()) == ["home", "photo.png"]


def test_doctor_tells_programs_what_it_found(folder, capsys, monkeypatch):
    monkeypatch.setenv("GIMP3_DIRECTORY", str(folder / "gimp"))
    status = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in report["checks"]}
    assert status == 1 and report["ok"] is False
    amiss = {name for name, check in checks.items() if not check["ok"]}
    # whether there is a GIMP, and how much memory is free, is this machine's
    assert {"Installation", "GIMP plug-in"} <= amiss <= {"Installation", "GIMP plug-in", "GIMP", "Memory"}
    assert all(checks[name]["remedy"] for name in amiss)
    assert checks["A click"]["detail"].startswith("the thing was selected, cpu")
    assert "torch" in checks["Packages"]["detail"]


def test_doctor_prints_a_remedy_for_each_failure(folder, capsys, monkeypatch):
    monkeypatch.setenv("GIMP3_DIRECTORY", str(folder / "gimp"))
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert len(re.findall(r"^✗ ", out, re.M)) == len(re.findall(r"^  → ", out, re.M)) >= 2
    assert len(re.findall(r"^✓ ", out, re.M)) >= 17  # SAM's three ViT models and their modules are optional
