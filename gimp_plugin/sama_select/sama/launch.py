"""Finding the user's engine and what it has, or starting one, as `docs/protocol.md` lays down."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from typing import Any, Dict, List, Mapping, Optional

from . import state
from .client import Client, EngineGone, HelloFailed, OtherProtocol, Report
from .errors import ExecutionError

START_SECONDS = 90
#: How long an engine that gave way to another one is not replaced, in seconds.
RESTART_SECONDS = 1
#: How long an older engine may take to end before it is used all the same, in seconds.
LEAVE_SECONDS = 10
#: How long a running engine may take to tell its models, in seconds: a dialog is about to open.
MODELS_SECONDS = 1

#: The model that comes with the engine.
BUNDLED = "lite"
_MOST_MODELS, _LONGEST_NAME = 50, 60

#: Variables of the host's Python, dynamic linker, GTK and packaging. GIMP's AppImage preloads its own libraries, its
#: macOS bundle sets PYTHONHOME, snap sets LD_LIBRARY_PATH: an engine that inherits any of them breaks in odd ways.
HOST_PREFIXES = (
    "PYTHON",
    "LD_",
    "DYLD_",
    "GI_",
    "GIO_",
    "GDK_",
    "GTK_",
    "GST_",
    "GEGL_",
    "BABL_",
    "GIMP",
    "CONDA_",
    "FONTCONFIG_",
    "SNAP",
)
HOST_NAMES = ("VIRTUAL_ENV", "APPDIR", "APPIMAGE", "ARGV0", "OWD", "XDG_DATA_DIRS", "XDG_CACHE_HOME")


def connect(report: Report) -> Client:
    """Return a client of the running engine, starting the engine if there is none or if it is of an older version.

    Raises:
        ExecutionError: the engine is not installed, or does not start.
    """
    client = running(_installed_version())
    if client is not None:
        return client
    command = install_command()
    report(None, "Starting the SAMA engine")
    child, started = _start(command), time.monotonic()
    deadline = started + START_SECONDS
    while time.monotonic() < deadline:
        client = running()
        if client is not None:
            return client
        status = child.poll()
        if status not in (None, 0):
            raise ExecutionError(_why_not_started(status))
        # Status 0 means that another engine held the lock: it is about to answer, or it has ended meanwhile.
        if status == 0 and time.monotonic() - started > RESTART_SECONDS and not state.engine_lives():
            child, started = _start(command), time.monotonic()
        time.sleep(0.05)
    raise ExecutionError(_why_no_answer())


def running(least_version: str = "") -> Optional[Client]:
    """Return a client of the engine that the state file names, if it is alive and ours; None otherwise.

    Args:
        least_version: an engine of an older version is told to end, and None is returned.
    """
    found = state.address()
    if found is None:
        return None
    client = Client(found.port, found.token)
    try:
        described = client.hello()
    except OtherProtocol:
        # It must leave before an engine of our version can take the lock.
        client.shutdown()
        return None
    except (EngineGone, HelloFailed):
        return None
    if _is_older(str(described.get("version", "")), least_version):
        client.shutdown()
        _wait_for_end(found)
        return None
    return client


def _wait_for_end(found: state.Address) -> None:
    """Wait until an engine that was told to end cannot be found any more: it answers until the very end."""
    deadline = time.monotonic() + LEAVE_SECONDS
    while state.address() == found and time.monotonic() < deadline:
        time.sleep(0.05)


def models() -> List[str]:
    """Return the names of the models whose weights are there, as the running engine tells; never empty.

    While no engine runs, the installer's record says which file is which model's, and the folder which are there.
    """
    names: Any = None
    found = state.address()
    if found is not None:
        with contextlib.suppress(EngineGone, HelloFailed):
            described = Client(found.port, found.token).hello(MODELS_SECONDS)
            names = described.get("installed", described.get("models"))
    if not isinstance(names, list):
        names = [BUNDLED, *_models_on_disk()]
    names = [name for name in names if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME]
    return names[:_MOST_MODELS] or [BUNDLED]


def _models_on_disk():
    try:
        model_of = state.read_json(state.install_record())["models"]
        return [model_of[file.name] for file in sorted(state.weights_folder().iterdir()) if file.name in model_of]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def install_command() -> List[str]:
    """Return the command that starts the engine, as the installer recorded it.

    Raises:
        ExecutionError: there is no usable record.
    """
    file = state.install_record()
    try:
        record = state.read_json(file)
    except FileNotFoundError:
        raise ExecutionError(
            "The SAMA engine is not installed (%s is missing). Run installer/install.py, then try again." % file
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ExecutionError(
            "The SAMA engine's installation record cannot be read (%s: %s). Run installer/install.py again."
            % (file, getattr(error, "strerror", None) or str(error)[:200])
        ) from error
    python = record.get("python") if isinstance(record, dict) else None
    args = record.get("args") if isinstance(record, dict) else None
    if not isinstance(python, str) or not isinstance(args, list):
        raise ExecutionError("%s does not say how to start the engine. Run installer/install.py again." % file)
    command = [python, *args]
    if not all(isinstance(word, str) and "\0" not in word for word in command):
        raise ExecutionError("%s does not say how to start the engine. Run installer/install.py again." % file)
    return command


def engine_environment(environment: Mapping[str, str]) -> Dict[str, str]:
    """Return `environment` without what belongs to GIMP's process, and with SAMA_HOME as we understand it."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(HOST_PREFIXES) and name.upper() not in HOST_NAMES
    }
    kept["SAMA_HOME"] = str(state.home())
    kept["PYTHONNOUSERSITE"] = "1"
    kept["PYTHONUTF8"] = "1"
    return kept


def _start(command):
    log = state.start_log()
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = log.open("wb")
    except OSError as error:
        raise ExecutionError(_unwritable(error)) from error
    try:
        with output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=engine_environment(os.environ),
                # Not the host's current folder: a script there could shadow a module, and it would stay in use.
                cwd=str(state.home()),
                close_fds=True,
                **_detached(),
            )
    except (OSError, ValueError) as error:
        raise ExecutionError(
            "The SAMA engine cannot be started (%s). Run installer/install.py again." % error
        ) from error


def _detached() -> Dict[str, Any]:
    """Popen arguments for a process that outlives this one and shows no window."""
    if sys.platform != "win32":
        return {"start_new_session": True}
    import ctypes

    # GIMP redirects the search for DLLs to its own folder, and children would inherit that.
    ctypes.windll.kernel32.SetDllDirectoryW(None)
    return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NO_WINDOW}


def _installed_version() -> str:
    try:
        return str(state.read_json(state.install_record())["version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _is_older(version: str, than: str) -> bool:
    """Compare versions like 1.10.0. Never true of a version that is not of that kind, lest engines end each other."""
    try:
        mine, other = ([int(part) for part in text.split(".")] for text in (version, than))
    except ValueError:
        return False
    return mine < other


def _why_not_started(status: int) -> str:
    problem = _writing_problem()
    if problem is not None:
        return _unwritable(problem)
    if status < 0:
        return (
            "The SAMA engine was ended from outside while it started (signal %d). Run the command again; if it happens "
            "again, close other programs: memory may be short." % -status
        )
    return "The SAMA engine could not start (exit status %d%s). See %s, then run installer/install.py again." % (
        status,
        _last_words(),
        state.start_log(),
    )


def _why_no_answer() -> str:
    found = state.address()
    if found is not None:
        return (
            "The SAMA engine (process %s) runs but does not answer. End that process, then run the command again."
            % found.pid
        )
    return "The SAMA engine did not answer within %d seconds. Run the command again; if that does not help, see %s." % (
        START_SECONDS,
        state.log_file(),
    )


def _writing_problem() -> Optional[OSError]:
    """What keeps anybody from writing into the engine's folder: a full disk, a quota, permissions; or None."""
    probe = state.start_log().with_name("probe-%d" % os.getpid())
    try:
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            probe.unlink()
        return error
    return None


def _unwritable(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk with SAMA's folder %s is full. Free some space on it, then run the command again." % (
            state.home()
        )
    return (
        "SAMA's folder %s cannot be written (%s). Make it writable for yourself, or set SAMA_HOME to a folder that is, "
        "then run the command again." % (state.home(), error.strerror or error)
    )


def _last_words():
    try:
        lines = state.start_log().read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return ": " + lines[-1][:200] if lines else ""
