"""Plug-in and engine must find each other: both state the same rule for their folder, each in its own code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gimp_plugin.sama_select.sama import paths as plugin_paths
from sama_core import paths

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
    assert plugin_paths.home() == paths.home()
    assert plugin_paths.install_record() == paths.install_record()
    assert plugin_paths.state_file() == paths.state_file()
    assert plugin_paths.lock_file() == paths.lock_file()
    assert plugin_paths.weights_folder() == paths.weights_dir()
    assert plugin_paths.log_file() == paths.log_file()
    assert plugin_paths.start_log().parent == paths.log_file().parent


def test_the_platforms_differ(monkeypatch):
    monkeypatch.delenv("SAMA_HOME", raising=False)
    homes = set()
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        homes.add(plugin_paths.home())
    assert len(homes) == 3


def test_sama_home_overrides(monkeypatch):
    monkeypatch.setenv("SAMA_HOME", os.sep + "mine")
    assert plugin_paths.home() == Path(os.sep + "mine")
