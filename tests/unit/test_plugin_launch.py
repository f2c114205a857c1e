"""Finding and starting an engine, with real processes: the one that is started is a few lines of Python."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gimp_plugin.sama_select.sama import launch, state
from gimp_plugin.sama_select.sama.errors import ExecutionError

ENGINE = """
import fcntl, http.server, json, os, pathlib, sys, threading, time
home = pathlib.Path(os.environ["SAMA_HOME"])
(home / "run").mkdir(exist_ok=True)
lock = open(home / "run" / "engine.lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(0)
(home / "environment.json").write_text(json.dumps(dict(os.environ)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        version = os.environ.get("SAMA_TEST_VERSION", "0.1.0")
        body = json.dumps({"protocol": 1, "pid": os.getpid(), "version": version}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.send_response(204); self.send_header("Content-Length", "0"); self.end_headers()
        threading.Timer(0.5, os._exit, (0,)).start()  # a real one, too, answers for a while
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
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
    client = launch.running()
    if client is not None:
        client.shutdown()


def record(home: Path, *args: str, version: str = "0.1.0") -> None:
    content = {"schema": 1, "python": sys.executable, "args": list(args), "version": version}
    (home / "install.json").write_text(json.dumps(content))


def quiet(fraction, text):
    pass


def test_an_engine_is_started_once_and_then_found(home: Path):
    record(home, "-c", ENGINE)
    said = []
    first = launch.connect(lambda fraction, text: said.append(text))
    second = launch.connect(quiet)
    assert said == ["Starting the SAMA engine"]
    assert first.hello()["pid"] == second.hello()["pid"] != os.getpid()


def test_it_runs_in_a_session_of_its_own_with_an_empty_input(home: Path):
    record(home, "-c", ENGINE)
    launch.connect(quiet)
    assert state.start_log().read_text().split()[:2] == ["True", "True"]


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
    launch.connect(quiet)
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
    kept = launch.engine_environment({**mine, **theirs})
    assert mine.items() <= kept.items()
    assert not theirs.keys() & kept.keys()


def test_a_missing_installation_is_named(home: Path):
    with pytest.raises(ExecutionError, match=r"not installed .*install\.json is missing.* Run installer/install\.py"):
        launch.connect(quiet)


def test_an_engine_that_fails_at_once_is_not_waited_for(home: Path):
    record(home, "-c", "import sys; sys.exit('no weights here')")
    with pytest.raises(ExecutionError, match="exit status 1: no weights here"):
        launch.connect(quiet)


def test_one_that_lost_the_race_is_no_failure(home: Path):
    """The second engine ends with status 0 when another one holds the lock; that one answers a moment later."""
    later = f"""
import os, subprocess, sys, time
slow = {ENGINE!r}.replace("server =", "time.sleep(0.7); server =")
subprocess.Popen([sys.executable, "-c", slow], start_new_session=True)
while not os.path.exists("run/engine.lock"):
    time.sleep(0.01)
"""
    record(home, "-c", later)
    assert launch.connect(quiet).hello()["protocol"] == 1


def test_an_engine_that_never_answers_is_given_up(home: Path, monkeypatch):
    monkeypatch.setattr(launch, "START_SECONDS", 1)
    record(home, "-c", "")
    with pytest.raises(ExecutionError, match=r"did not answer within .*engine\.log"):
        launch.connect(quiet)


@pytest.fixture
def held_lock(home: Path) -> Iterator[None]:
    """Some engine lives."""
    state.lock_file().parent.mkdir()
    with state.lock_file().open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


SPOILT = [
    "",
    "[]",
    "{}",
    '"text"',
    '{"port": "a", "token": "t"}',
    '{"port": 1, "token": "t"}',
    '{"port": 99999, "token": "t"}',
    '{"port": -1, "token": "t"}',
    '{"port": 1e999, "token": "t"}',
    '{"port": NaN, "token": "t"}',
    '{"port": 80, "token": "a\\r\\nHost: b"}',
    '{"port": 80, "token": "caf\\u00e9"}',
    '{"port": 80, "token": ""}',
    "[" * 60_000,
    " " * 10_000_000,
    "\x00\xff",
]


@pytest.mark.parametrize("content", SPOILT, ids=range(len(SPOILT)))
def test_a_state_file_that_leads_nowhere(home: Path, held_lock: None, content: str):
    state.state_file().write_text(content)
    assert launch.running() is None


def test_a_state_file_that_is_no_file(home: Path, held_lock: None):
    os.mkfifo(state.state_file())
    assert launch.running() is None
    state.state_file().unlink()
    state.state_file().mkdir()
    assert launch.running() is None


def test_what_listens_at_a_dead_engines_port_hears_nothing(home: Path):
    """It may be another user's: a token, and later a picture, would be theirs."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        state.state_file().parent.mkdir()
        content = {"port": stranger.getsockname()[1], "token": "t", "pid": 1}
        state.state_file().write_text(json.dumps(content))
        state.lock_file().touch()
        assert launch.running() is None
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.accept()


@pytest.mark.parametrize(("installed", "replaced"), [("0.2.0", True), ("0.1.0", False), ("0.0.9", False), ("?", False)])
def test_an_engine_older_than_what_is_installed_makes_room(home: Path, monkeypatch, installed: str, replaced: bool):
    record(home, "-c", ENGINE)
    old = launch.connect(quiet).hello()["pid"]
    record(home, "-c", ENGINE, version=installed)
    monkeypatch.setenv("SAMA_TEST_VERSION", installed)
    assert (launch.connect(quiet).hello()["pid"] != old) == replaced


def test_an_installed_engine_that_is_older_than_its_record_is_used_all_the_same(home: Path):
    record(home, "-c", ENGINE, version="9.0")
    assert launch.connect(quiet).hello()["version"] == "0.1.0"


def test_an_engine_that_lives_but_does_not_answer_is_named(home: Path, held_lock: None, monkeypatch):
    monkeypatch.setattr(launch, "START_SECONDS", 1)
    record(home, "-c", "")
    state.state_file().write_text('{"port": 1, "token": "t", "pid": 4711}')
    with pytest.raises(ExecutionError, match=r"process 4711\) runs but does not answer\. End that process"):
        launch.connect(quiet)


def test_an_engine_that_is_killed_while_it_starts_is_not_blamed_on_the_installation(home: Path):
    record(home, "-c", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ExecutionError, match=r"signal 9\)\. Run the command again"):
        launch.connect(quiet)
