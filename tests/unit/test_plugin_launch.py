"""Finding and starting an engine, with real processes: the one that is started is a few lines of Python."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import sama_launch
import sama_paths
from sama_errors import ExecutionError

ENGINE = """
import http.server, json, os, pathlib, sys
home = pathlib.Path(os.environ["SAMA_HOME"])
(home / "environment.json").write_text(json.dumps(dict(os.environ)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"protocol": 1, "pid": os.getpid()}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        os._exit(0)
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
(home / "run").mkdir(exist_ok=True)
part = home / "run" / "part"
part.write_text(json.dumps({"port": server.server_address[1], "token": "t", "pid": os.getpid()}))
part.rename(home / "run" / "engine.json")
print(os.getsid(0) == os.getpid(), sys.stdin.read() == "", flush=True)
server.serve_forever()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SAMA_HOME", str(tmp_path))
    yield tmp_path
    client = sama_launch.running()
    if client is not None:
        client.shutdown()


def record(home: Path, *args: str, python: str = sys.executable) -> None:
    (home / "install.json").write_text(json.dumps({"schema": 1, "python": python, "args": list(args)}))


def quiet(fraction, text):
    pass


def test_an_engine_is_started_once_and_then_found(home: Path):
    record(home, "-c", ENGINE)
    said = []
    first = sama_launch.connect(lambda fraction, text: said.append(text))
    second = sama_launch.connect(quiet)
    assert said == ["Starting the SAMA engine"]
    assert first.hello()["pid"] == second.hello()["pid"] != os.getpid()


def test_it_runs_in_a_session_of_its_own_with_an_empty_input(home: Path):
    record(home, "-c", ENGINE)
    sama_launch.connect(quiet)
    assert sama_paths.start_log().read_text().split()[:2] == ["True", "True"]


def test_the_hosts_environment_does_not_reach_the_engine(home: Path, monkeypatch):
    for name in (
        "PYTHONHOME",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "GI_TYPELIB_PATH",
        "GDK_PIXBUF_MODULE_FILE",
        "GIMP3_DIRECTORY",
    ):
        monkeypatch.setenv(name, "/broken")
    monkeypatch.setenv("SAMA_DEVICE", "cpu")
    record(home, "-c", ENGINE)
    sama_launch.connect(quiet)
    seen = json.loads((home / "environment.json").read_text())
    assert "/broken" not in seen.values()
    assert seen["SAMA_DEVICE"] == "cpu"
    assert seen["SAMA_HOME"] == str(home)


def test_what_is_scrubbed_and_what_is_kept():
    mine = {"HOME": "/h", "PATH": "/bin", "SAMA_IDLE_SECONDS": "5", "LANG": "C", "LC_ALL": "C", "http_proxy": "p"}
    theirs = dict.fromkeys(
        ["LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PYTHONSTARTUP", "GIO_MODULE_DIR", "APPDIR", "SNAP"],
        "x",
    )
    kept = sama_launch.engine_environment({**mine, **theirs})
    assert mine.items() <= kept.items()
    assert not theirs.keys() & kept.keys()


def test_a_missing_installation_is_named(home: Path):
    with pytest.raises(ExecutionError, match=r"not installed .*install\.json is missing.* Run installer/install\.py"):
        sama_launch.connect(quiet)


def test_an_engine_that_fails_at_once_is_not_waited_for(home: Path):
    record(home, "-c", "import sys; sys.exit('no weights here')")
    with pytest.raises(ExecutionError, match="exit status 1: no weights here"):
        sama_launch.connect(quiet)


def test_one_that_lost_the_race_is_no_failure(home: Path):
    """The second engine ends with status 0 when another one holds the lock; that one answers a moment later."""
    later = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.7)\\n" + {ENGINE!r}], start_new_session=True)
"""
    record(home, "-c", later)
    assert sama_launch.connect(quiet).hello()["protocol"] == 1


def test_an_engine_that_never_answers_is_given_up(home: Path, monkeypatch):
    monkeypatch.setattr(sama_launch, "START_SECONDS", 1)
    record(home, "-c", "")
    with pytest.raises(ExecutionError, match=r"did not answer within .*engine\.log"):
        sama_launch.connect(quiet)


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"port": "a", "token": "t"}', '{"port": 1, "token": "t"}'])
def test_a_state_file_that_leads_nowhere(home: Path, state: str):
    sama_paths.state_file().parent.mkdir()
    sama_paths.state_file().write_text(state)
    assert sama_launch.running() is None
