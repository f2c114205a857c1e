"""Threads of the engine sleep while they wait: the policy is set before the libraries that read it are loaded."""

import os
import subprocess
import sys

import pytest

from sama_core.service import __main__ as command

NOTHING_LOADED = "import sys, sama_core.service.__main__; sys.exit(any(m in sys.modules for m in ('torch', 'numpy')))"


@pytest.mark.parametrize("own", [None, "ACTIVE"])
def test_the_policy_is_set_and_the_users_own_is_kept(monkeypatch, own):
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    if own is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", own)
    seen = {}

    def serve(*_args: object, **_options: object) -> int:
        seen.update(os.environ)
        return 0

    monkeypatch.setattr(command, "serve", serve)
    assert command.main() == 0
    assert seen["OMP_WAIT_POLICY"] == (own or "PASSIVE")
    assert seen["KMP_BLOCKTIME"] == "0"
    for name in command.WAITING:
        monkeypatch.delenv(name)  # what main has set is undone with the rest


def test_the_command_loads_no_numerical_library_before_it_serves():
    assert subprocess.run([sys.executable, "-c", NOTHING_LOADED], check=False, timeout=120).returncode == 0
