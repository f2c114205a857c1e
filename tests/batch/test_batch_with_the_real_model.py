"""`sama batch` with the model that ships: what it writes is what the engine answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ROWS, COLUMNS = np.mgrid[0:240, 0:320]
DISC = (COLUMNS - 190) ** 2 + (ROWS - 110) ** 2 <= 60**2


def test_a_disc_is_cut_out(tmp_path):
    ground = np.stack([np.full_like(ROWS, 30), 60 + ROWS // 3, 170 - ROWS // 3], axis=2)
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.where(DISC[..., None], (235, 140, 40), ground).astype(np.uint8)).save(
        tmp_path / "photos/disc.png"
    )
    prompt = {"points": [[190, 110]], "kind": "select"}
    (tmp_path / "prompts.json").write_text(json.dumps({"version": 1, "photos": {"disc.png": prompt}}))
    done = subprocess.run(
        [sys.executable, "-m", "sama_core.cli", "batch", "photos", "--prompts", "prompts.json", "-o", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SAMA_HOME": str(tmp_path / "home"), "SAMA_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    alpha = np.array(Image.open(tmp_path / "out" / "disc.png"))
    assert alpha.shape == DISC.shape and alpha[DISC].mean() - alpha[~DISC].mean() > 150
    [line] = json.loads((tmp_path / "out" / "report.json").read_text())["photos"]
    assert line["status"] == "done" and line["device"] == "cpu" and 0 < line["score"] <= 1
    # embeddings of a batch do not push those of open pictures out of the cache
    assert not (tmp_path / "home" / "cache" / "embeddings").exists()
