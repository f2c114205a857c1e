"""The weights that ship: what the registry says of them is true, and they find a cat."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sama_core import Engine, Prompt
from sama_core.files import file_sha256
from sama_core.inference.embedding_cache import EmbeddingCache
from sama_core.weights.registry import MODELS

CAT = Path(__file__).resolve().parents[2] / "demo" / "photos" / "chelsea.png"


def test_the_registry_names_the_file_that_ships():
    lite = MODELS["lite"]
    assert lite.weights.stat().st_size <= 25e6
    assert file_sha256(lite.weights) == lite.sha256
    card = (CAT.parents[2] / "docs" / "model-card.md").read_text()
    assert lite.sha256 in card


@pytest.fixture(scope="module")
def engine():
    engine = Engine(device="cpu", cache=EmbeddingCache(None))
    engine.set_image(np.asarray(Image.open(CAT).convert("RGB")))
    return engine


@pytest.mark.parametrize(
    "prompt",
    [Prompt([(200, 90), (150, 190)], [1, 1]), Prompt(box=(0, 0, 375, 300))],
    ids=["two clicks", "a box"],
)
def test_the_cat_is_found_and_its_surroundings_are_not(engine, prompt):
    alpha = engine.select(prompt).alpha
    face, ground = alpha[40:200, 90:300], alpha[20:140, 400:]
    assert (face > 127).mean() > 0.97
    assert (ground > 127).mean() < 0.03


def test_an_exclude_click_takes_away(engine):
    without = engine.select(Prompt([(200, 90)], [1])).alpha
    inside = [(x, y) for x, y in ((130, 270), (60, 230), (300, 250)) if without[y, x] > 127]
    assert inside, "the first click should take in some of the chest"
    x, y = inside[0]
    assert engine.select(Prompt([(200, 90), (x, y)], [1, 0])).alpha.sum() < without.sum()


def test_a_matte_is_soft_along_the_fur(engine):
    alpha = engine.matte(Prompt([(200, 90), (150, 190)], [1, 1])).alpha
    share = ((alpha > 10) & (alpha < 245)).mean()
    assert 0.005 < share < 0.2
