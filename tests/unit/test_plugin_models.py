from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from gimp_plugin.sama_select.sama import launch, state
from gimp_plugin.sama_select.sama.client import Client, HelloFailed
from installer import engine_process
from installer.environment import EngineInfo
from sama_core import paths
from sama_core.weights.registry import MODELS


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("SAMA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def engine(monkeypatch):
    """A function that makes an engine live and say this in its hello, or fail when it is None."""

    def live(hello):
        def answer(self, seconds):
            if hello is None:
                raise HelloFailed("busy")
            return hello

        monkeypatch.setattr(state, "address", lambda: state.Address(1, "token", "1"))
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
def test_a_running_engine_tells_what_it_has(engine, hello, names):
    engine(hello)
    assert launch.models() == names


def test_without_an_engine_the_folder_of_weights_tells(home):
    with ExitStack() as undo:
        engine_process.write_record(EngineInfo(Path("/python"), "0.1.0"), undo)
        undo.pop_all()
    assert launch.models() == ["lite"]
    paths.weights_dir().mkdir()
    for model in (model for model in MODELS.values() if model.optional):
        model.weights.with_name(model.file + ".part").touch()
    (paths.weights_dir() / "somebody_elses.pth").touch()
    assert launch.models() == ["lite"]
    for model in (model for model in MODELS.values() if model.optional):
        model.weights.touch()
    assert sorted(launch.models()) == sorted(MODELS)


@pytest.mark.parametrize(
    "models", [None, 3, [], ["sam.pth"], "sam.pth", {"sam.pth": 7}, {"sam.pth": ["x"]}, {"sam.pth": "x" * 99}]
)
def test_a_record_that_does_not_tell_leaves_the_model_that_comes_with_the_engine(home, models):
    paths.weights_dir().mkdir()
    (paths.weights_dir() / "sam.pth").touch()
    (home / "install.json").write_text(json.dumps({"models": models}))
    assert launch.models() == ["lite"]
