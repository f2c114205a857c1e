"""What plug-in and engine state each in its own code: the rule for their folder, and what is refused early or late."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gimp_plugin.sama_select.sama import client, state
from sama_core import images, paths

ENVIRONMENTS = [
    {},
    {"SAMA_HOME": "/somewhere/else"},
    {"LOCALAPPDATA": "/Users/u/AppData/Local"},
    {"XDG_DATA_HOME": "/xdg", "XDG_CACHE_HOME": "/cache", "HOME": "/home/other"},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "freebsd14"])
def test_the_plug_in_and_the_engine_agree_on_every_platform(monkeypatch, platform: str, environment: dict[str, str]):
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("SAMA_HOME", "LOCALAPPDATA", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert state.home() == paths.home()
    assert state.install_record() == paths.install_record()
    assert state.state_file() == paths.state_file()
    assert state.lock_file() == paths.lock_file()
    assert state.weights_folder() == paths.weights_dir()
    assert state.log_file() == paths.log_file()
    assert state.start_log().parent == paths.log_file().parent


def test_the_platforms_differ(monkeypatch):
    monkeypatch.delenv("SAMA_HOME", raising=False)
    homes = set()
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        homes.add(state.home())
    assert len(homes) == 3


def test_sama_home_overrides(monkeypatch):
    monkeypatch.setenv("SAMA_HOME", os.sep + "mine")
    assert state.home() == Path(os.sep + "mine")


def test_the_cap_on_pictures_is_the_engines_own():
    assert (client.MAX_PIXELS, client.MAX_SIDE) == (images.MAX_PIXELS, images.MAX_SIDE)
