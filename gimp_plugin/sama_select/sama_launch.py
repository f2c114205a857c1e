"""Finding the user's engine, or starting one, as `docs/protocol.md` lays down."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, List, Mapping, Optional

import sama_paths
from sama_client import Client, EngineGone, HelloFailed, OtherProtocol, Report
from sama_errors import ExecutionError

START_SECONDS = 90
#: Far more than the engine or the installer writes into one of the files that are read here.
_MOST_BYTES = 1 << 16

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
    """Return a client of the running engine, starting the engine if there is none.

    Raises:
        ExecutionError: the engine is not installed, or does not start.
    """
    client = running()
    if client is not None:
        return client
    command = install_command()
    report(None, "Starting the SAMA engine")
    child = _start(command)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        client = running()
        if client is not None:
            return client
        # Status 0 means that another client's engine won the race and is about to answer.
        if child.poll() not in (None, 0):
            raise ExecutionError(
                "The SAMA engine could not start (exit status %d%s). See %s, then run installer/install.py again."
                % (child.returncode, _last_words(), sama_paths.start_log())
            )
        time.sleep(0.05)
    raise ExecutionError(
        "The SAMA engine did not answer within %d seconds. Run the command again; if that does not help, see %s."
        % (START_SECONDS, sama_paths.log_file())
    )


def running() -> Optional[Client]:
    """Return a client of the engine that the state file names, if it is alive and ours; None otherwise."""
    try:
        client = _client_of(json.loads(_small_file(sama_paths.state_file())))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    try:
        client.hello()
    except OtherProtocol:
        # It must leave before an engine of our version can take the lock.
        client.shutdown()
        return None
    except (EngineGone, HelloFailed):
        return None
    return client


def install_command() -> List[str]:
    """Return the command that starts the engine, as the installer recorded it.

    Raises:
        ExecutionError: there is no usable record.
    """
    file = sama_paths.install_record()
    try:
        record = json.loads(_small_file(file))
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


def _small_file(path):
    """The bytes of one of our own files, which anybody may have replaced by something else."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a file")
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)


def _client_of(state):
    port, token = state["port"], state["token"]
    # A bool is an int to Python. What is in a header must be printable ASCII.
    if type(port) is not int or not 0 < port < 65536:
        raise ValueError("no port")
    if not isinstance(token, str) or any(not "!" <= letter <= "~" for letter in token):
        raise ValueError("no token")
    return Client(port, token)


def engine_environment(environment: Mapping[str, str]) -> Dict[str, str]:
    """Return `environment` without what belongs to GIMP's process, and with SAMA_HOME as we understand it."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(HOST_PREFIXES) and name.upper() not in HOST_NAMES
    }
    kept["SAMA_HOME"] = str(sama_paths.home())
    kept["PYTHONNOUSERSITE"] = "1"
    kept["PYTHONUTF8"] = "1"
    return kept


def _start(command):
    log = sama_paths.start_log()
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=engine_environment(os.environ),
                # Not the host's current folder: a script there could shadow a module, and it would stay in use.
                cwd=str(sama_paths.home()),
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


def _last_words():
    try:
        lines = sama_paths.start_log().read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return ": " + lines[-1][:200] if lines else ""
