from __future__ import annotations

import pytest

from gimp_plugin.sama_select.sama import models, state
from gimp_plugin.sama_select.sama.client import Client, HelloFailed
from sama_core import paths
from sama_core.weights.registry import MODELS


@pytest.fixture
def engine(monkeypatch):
    """A function that makes an engine live and say this in its hello, or fail when it is None."""

    def live(hello):
        def answer(self, seconds):
            if hello is None:
                raise HelloFailed("busy")
            return hello

        monkeypatch.setattr(state, "engine_lives", lambda: True)
        monkeypatch.setattr(state, "read", lambda: state.State(1, "token", "1"))
        monkeypatch.setattr(Client, "hello", answer)

    return live


@pytest.mark.parametrize(
    ("hello", "names"),
    [
        ({"models": ["lite", "vit_b", "vit_h"], "installed": ["lite", "vit_b"]}, ["lite", "vit_b"]),
        ({"models": ["lite", "sam2.1_tiny"]}, ["lite", "sam2.1_tiny"]),
        ({"models": "lite"}, ["lite"]),
        ({"models": [3, "x" * 99]}, ["lite"]),
        ({}, ["lite"]),
        (None, ["lite"]),
    ],
)
def test_a_running_engine_tells_what_it_has(engine, monkeypatch, tmp_path, hello, names):
    monkeypatch.setenv("SAMA_HOME", str(tmp_path))
    engine(hello)
    assert models.names() == names


def test_without_an_engine_the_folder_of_weights_tells(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMA_HOME", str(tmp_path))
    assert models.names() == ["lite"]
    paths.weights_dir().mkdir()
    for model in (model for model in MODELS.values() if model.optional):
        model.weights.touch()
        model.weights.with_name(model.file + ".part").touch()
    assert sorted(models.names()) == sorted(MODELS)
