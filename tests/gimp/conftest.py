"""Fixtures for tests in real GIMP 3. No GIMP is a failure, never a skip.

gimp            session: a running gimp-console with the plug-in in its throw-away profile.
                `gimp.run(code)` runs a Python snippet inside GIMP and returns what it printed;
                `gimp.json(code)` parses that as JSON; both raise GimpError with the traceback. Snippets share
                their globals (as one long session would); Gimp, Gegl, Babl, GLib, Gio, GObject, json, os, pdb
                are there, and `call(procedure, **arguments)`, which returns {"status": "success" |
                "execution_error" | "calling_error" | "cancel" | "pass_through", "error": text, "values":
                [...]}; see sandbox/repl.py. Delete the images that you make. `gimp.files` is a folder at the
                same absolute path inside GIMP and outside; `gimp.log()` what GIMP printed.
sama_home       session: the SAMA_HOME of that GIMP, with an install.json that starts the engine with the
                Python that runs the tests.
engine_stats    a function: GET /v1/hello of the engine, as a dict; RuntimeError when none is running.
kill_engine     a function: SIGKILL to the engine, waits for its end, returns its pid; RuntimeError when
                none is running.
stop_engine     a function: ends the engine in order, or does nothing when none is running.
ramp            session: a GIMP of its own whose engine is the stand-in of ramp_engine.py, for exactness and faults;
                see ramp_session.py.
gimp_installation, workspace    what the above are made of, for tests that start a GIMP of their own.

The engine is started by the plug-in itself, on demand, as a process of the machine; it is ended at the
session's end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ramp_session import RampSession, ramp_session
from sandbox import GimpInstallation, GimpNotFound, GimpSession, Workspace, engine_process, find_gimp

PLUG_IN = Path(__file__).resolve().parents[2] / "gimp_plugin" / "sama_select"


@pytest.fixture(scope="session")
def gimp_installation() -> GimpInstallation:
    try:
        return find_gimp()
    except GimpNotFound as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def workspace(gimp_installation: GimpInstallation) -> Iterator[Workspace]:
    workspace = Workspace(gimp_installation, [PLUG_IN])
    workspace.record_engine(Path(sys.executable))
    yield workspace
    engine_process.stop(workspace.sama_home)
    workspace.remove("pytest")


@pytest.fixture(scope="session")
def gimp(workspace: Workspace) -> Iterator[GimpSession]:
    with GimpSession(workspace, "pytest-gimp-console") as session:
        yield session


@pytest.fixture(scope="session")
def sama_home(workspace: Workspace) -> Path:
    return workspace.sama_home


@pytest.fixture(scope="session")
def engine_stats(sama_home: Path) -> Callable[[], dict[str, Any]]:
    return lambda: engine_process.hello(sama_home)


@pytest.fixture(scope="session")
def kill_engine(sama_home: Path) -> Callable[[], int]:
    return lambda: engine_process.kill(sama_home)


@pytest.fixture(scope="session")
def stop_engine(sama_home: Path) -> Callable[[], None]:
    return lambda: engine_process.stop(sama_home)


@pytest.fixture(scope="session")
def _ramp_for_all(gimp_installation: GimpInstallation) -> Iterator[RampSession]:
    with ramp_session(gimp_installation, PLUG_IN) as session:
        yield session


@pytest.fixture
def ramp(_ramp_for_all: RampSession) -> Iterator[RampSession]:
    yield _ramp_for_all
    _ramp_for_all.clear()
