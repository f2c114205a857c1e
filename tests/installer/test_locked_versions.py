"""What the engine needs is taken in the versions that SAMA was tested with, unless the person wants the newest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from package_index import Index
from test_downloads import with_module

sys.path.append(str(Path(__file__).resolve().parents[2]))
from installer import package
from installer.downloads import Download
from installer.events import InstallError

WITH_TORCH_INDEX = Path(__file__).with_name("with_torch_index.py")
DIGEST, OTHER = "a" * 64, "b" * 64
LOCK = f"""# by a tool
some-part==1.0 ; python_full_version < '3.9' \\
    --hash=sha256:{OTHER}
some-part==1.1 ; python_full_version >= '3.9' \\
    --hash=sha256:{OTHER} \\
    --hash=sha256:{DIGEST}
torch==2.9.0 \\
    --hash=sha256:{DIGEST}
triton==3.5.0 ; sys_platform == 'linux' \\
    --hash=sha256:{DIGEST}
"""


@pytest.fixture
def indexes(tmp_path: Path) -> Iterator[Callable[[str], Index]]:
    made: list[Index] = []

    def make(name: str) -> Index:
        (tmp_path / name).mkdir()
        made.append(Index(tmp_path / name))
        return made[-1]

    yield make
    for index in made:
        index.close()


@pytest.fixture
def index(indexes) -> Index:
    return indexes("index")


@pytest.fixture
def network(index: Index) -> dict[str, str]:
    """Variables with which pip sees nothing but the index."""
    return {"PIP_INDEX_URL": f"{index.url}/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}


@pytest.fixture
def engine(machine, index, small_source, tmp_path) -> Callable[..., list]:
    """A function: options that install an engine of this version, with these needs, from source with this lock."""
    machine.add_gimp("3.0.4")

    def make(version: str, needs: tuple[str, ...], lock: str) -> list:
        wheel = index.add_wheel("sama_gimp", version, needs)
        built = tmp_path / "built" / wheel.name
        built.parent.mkdir(exist_ok=True)
        with_module(wheel, built)
        wheel.unlink()
        shutil.rmtree(tmp_path / "source folder", ignore_errors=True)
        code = f"import shutil\nshutil.copy({str(built)!r}, folder)\nreturn {built.name!r}"
        source = small_source(code)
        (source / "requirements.lock").write_text(lock)
        return ["--package", source, "--need-free", "0.1", "--no-self-check"]

    return make


@pytest.fixture
def needs_part(index, engine) -> list:
    """Options for an engine whose one need is to be had in the version of its lock, an older and a newer one."""
    for version in ("0.9", "1.0", "2.0"):
        index.add_wheel("heavy_part", version)
    return engine("0.1.0", ("heavy-part",), "heavy-part==1.0\n")


def version_of(machine, name: str) -> str:
    python = machine.sama_home / "engine" / "bin" / "python"
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.check_output([python, "-c", code], cwd="/", text=True).strip()


def test_locked_version_is_taken_and_kept(machine, network, needs_part):
    machine.install(*needs_part, variables=network)
    assert version_of(machine, "heavy-part") == "1.0"
    before = machine.contents()
    assert "up to date" in machine.install(*needs_part, "--newest", variables=network)
    assert machine.contents() == before


def test_newest_is_the_way_out_and_an_update_comes_back_to_the_lock(machine, network, needs_part, engine):
    machine.install(*needs_part, "--newest", variables=network)
    assert version_of(machine, "heavy-part") == "2.0"
    assert "up to date" in machine.install(*needs_part, variables=network)
    newer = engine("0.1.0", ("heavy-part",), "heavy-part==0.9\n")
    assert "is updated" in machine.install(*newer, variables=network)
    assert version_of(machine, "heavy-part") == "0.9"


def test_repair_puts_the_locked_version_back(machine, network, needs_part):
    machine.install(*needs_part, variables=network)
    (part,) = (machine.sama_home / "engine").glob("lib/python3*/site-packages/heavy_part/content")
    part.unlink()
    machine.install("--repair", *needs_part, variables=network)
    assert part.exists()
    assert version_of(machine, "heavy-part") == "1.0"


def test_version_that_is_gone_is_told_with_the_way_out(machine, index, network, needs_part):
    before = machine.contents()
    (index.folder / "heavy_part-1.0-py3-none-any.whl").unlink()
    done = machine.run("--yes", *needs_part, variables=network)
    assert done.returncode == 1, done.stdout
    assert "With --newest the installer takes other versions" in done.stderr
    assert machine.contents() == before


def test_offline_takes_the_locked_version_of_several(machine, index, network, needs_part):
    index.close()
    offline = ["--offline", "--wheels", index.folder, *needs_part]
    machine.install(*offline, variables=network)
    assert version_of(machine, "heavy-part") == "1.0"


def test_offline_folder_with_other_versions_only_is_told(machine, index, network, needs_part):
    (index.folder / "heavy_part-1.0-py3-none-any.whl").unlink()
    offline = ["--offline", "--wheels", index.folder, *needs_part]
    done = machine.run("--yes", *offline, variables=network)
    assert done.returncode == 1, done.stdout
    assert "With --newest the installer takes other versions" in done.stderr
    machine.install(*offline, "--newest", variables=network)
    assert version_of(machine, "heavy-part") == "2.0"


@pytest.fixture
def torch_engine(machine, index, indexes, network, engine) -> tuple[Index, Callable[..., str]]:
    """PyTorch's own index, and a function: installs with it an engine that needs PyTorch, and returns what was said."""
    own = indexes("pytorch's own")
    index.add_wheel("torch", "2.9.0")
    for version in ("1.0", "2.0"):
        index.add_wheel("heavy_part", version)
        index.add_wheel("triton", version)
    lock = "torch==2.9.0\ntriton==1.0\nheavy-part==1.0\n"

    def install(need: str, version: str = "0.1.0") -> str:
        options = engine(version, (need, "heavy-part"), lock)
        command = [sys.executable, WITH_TORCH_INDEX, f"{own.url}/simple", *options, "--torch", "cpu"]
        done = subprocess.run(
            list(map(str, command)),
            env={**machine.variables, **network, "NO_PROXY": "127.0.0.1"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return own, install


def test_build_of_pytorch_is_taken_in_the_locked_version(machine, torch_engine):
    own, install = torch_engine
    # A build's companions are its own, whatever those of the usual build in the lock are.
    own.add_wheel("torch", "2.9.0+cpu", needs=("triton==2.0",))
    own.add_wheel("torch", "2.10.0+cpu")
    install("torch>=2")
    assert version_of(machine, "torch") == "2.9.0+cpu"
    assert (version_of(machine, "triton"), version_of(machine, "heavy-part")) == ("2.0", "1.0")


def test_build_that_lacks_the_locked_version_is_taken_as_it_is_and_stays(machine, torch_engine):
    own, install = torch_engine
    own.add_wheel("torch", "2.8.0+cpu")
    said = install("torch>=2")
    assert "not to be had in the version that SAMA was tested with: torch 2.8.0+cpu." in said
    assert version_of(machine, "torch") == "2.8.0+cpu"
    # An update leaves PyTorch's gigabytes alone as long as the engine can work with them.
    own.add_wheel("torch", "2.9.0+cpu")
    install("torch>=2.1", version="0.1.1")
    assert version_of(machine, "torch") == "2.8.0+cpu"
    # And takes the same build anew where it cannot.
    install("torch>=2.9", version="0.1.2")
    assert version_of(machine, "torch") == "2.9.0+cpu"


@pytest.fixture
def lock(tmp_path: Path) -> package.Lock:
    (tmp_path / "requirements.lock").write_text(LOCK)
    return package.read_lock(tmp_path)


def test_file_of_pypi_must_be_the_tested_one(lock):
    pypi, mirror = "https://files.pythonhosted.org/packages/x.whl", "https://mirror.example/x.whl"
    lock.check(
        [
            Download(pypi, DIGEST, "some-part==1.1"),
            # Of another version than the locked ones, for a build of PyTorch that needs it; and from elsewhere.
            Download(pypi, "c" * 64, "some-part==1.2"),
            Download(mirror, "c" * 64, "some-part==1.1"),
        ]
    )
    for digest, release in ((DIGEST, "some-part==1.0"), ("c" * 64, "torch==2.9.0"), ("", "torch==2.9.0")):
        with pytest.raises(InstallError, match="--newest"):
            lock.check([Download(pypi, digest, release)])


def test_constraints_keep_markers_and_leave_pytorchs_own_out_on_request(lock, tmp_path):
    file = tmp_path / "constraints"
    assert lock.constraints(file) == ["--constraint", str(file)]
    some = ["some-part==1.0 ; python_full_version < '3.9'", "some-part==1.1 ; python_full_version >= '3.9'"]
    assert file.read_text().splitlines() == [*some, "torch==2.9.0", "triton==3.5.0 ; sys_platform == 'linux'"]
    lock.constraints(file, torch=False)
    assert file.read_text().splitlines() == some
