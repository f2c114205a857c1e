"""Which accelerator is found and which build of PyTorch is chosen, with fake programs and a fake root folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))
from installer import torch_builds
from installer.torch_builds import choose
from sama_core.accelerator import Accelerator, Computer, detect

LINUX = ("linux", "x86_64")
WINDOWS = ("win32", "AMD64")


@pytest.fixture
def computer(tmp_path):
    """A function: a computer with nothing on it but what the test put into its root and its programs."""
    for name in ("root", "programs"):
        (tmp_path / name).mkdir()

    def make(system: str = "linux", machine: str = "x86_64") -> Computer:
        return Computer(system, machine, tmp_path / "root", str(tmp_path / "programs"), library=False)

    return make


@pytest.fixture
def program(tmp_path):
    """A function: put a program on the computer that runs the shell's `body`."""

    def put(name: str, body: str, folder: str = "programs") -> None:
        file = tmp_path / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    return put


@pytest.fixture
def nvidia_smi(program):
    def put(cuda: str, *cards: str, folder: str = "programs") -> None:
        listing = "\\n".join(cards)
        table = f"| NVIDIA-SMI 570.86   Driver Version: 570.86   CUDA Version: {cuda}  |"
        program(
            "nvidia-smi",
            f'case "$1" in --query-gpu=*) printf "{listing}\\n" ;; *) echo "{table}" ;; esac',
            folder,
        )

    return put


def put_file(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("cuda", "card", "folder"),
    [
        ("13.1", "NVIDIA GeForce RTX 5090, 12.0", "cu130"),
        ("12.8", "NVIDIA GeForce RTX 4070, 8.9", "cu128"),
        ("12.4", "NVIDIA GeForce RTX 3060, 8.6", "cu126"),
        ("13.0", "NVIDIA GeForce GTX 1080, 6.1", "cu126"),
    ],
)
def test_cuda_build_fits_driver_and_card(computer, nvidia_smi, cuda, card, folder):
    nvidia_smi(cuda, card)
    found = detect(computer())
    assert found.maker == "nvidia"
    assert card.split(",")[0] in found.name
    build = choose(None, found, computer())
    assert (build.name, build.index) == ("cuda", f"https://download.pytorch.org/whl/{folder}")


def test_oldest_of_several_cards_counts(computer, nvidia_smi):
    nvidia_smi("12.8", "NVIDIA GeForce RTX 4070, 8.9", "NVIDIA GeForce GTX 960, 5.2")
    found = detect(computer())
    assert found.capability == (5, 2)
    assert "and 1 more" in found.name
    assert choose(None, found, computer()).index.endswith("cu126")


def test_driver_that_is_too_old_is_told_and_the_processor_used(computer, nvidia_smi):
    nvidia_smi("11.4", "NVIDIA GeForce GTX 1080, 6.1")
    found = detect(computer())
    assert "Update NVIDIA's driver" in found.note
    assert choose(None, found, computer()).name == "cpu"


def test_nvidia_smi_that_finds_no_card_counts_for_nothing(computer, program):
    program("nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9")
    assert detect(computer()).maker == "none"


@pytest.mark.parametrize(
    ("version", "cuda"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12", (12, 2)),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.64.03  Release", (12, 9)),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2", (11, 8)),
    ],
)
def test_driver_is_found_without_nvidia_smi(computer, version, cuda):
    shown = computer().root / "proc" / "driver" / "nvidia"
    put_file(shown / "version", version + "\nGCC version: 12.2.0\n")
    put_file(shown / "gpus" / "0000:01:00.0" / "information", "Model: \t\t NVIDIA GeForce RTX 3060\nIRQ: 1\n")
    found = detect(computer())
    assert (found.maker, found.cuda) == ("nvidia", cuda)
    assert "GeForce RTX 3060" in found.name


def test_nvidia_smi_is_found_where_windows_keeps_it(computer, nvidia_smi):
    nvidia_smi("12.9", "NVIDIA GeForce RTX 3060, 8.6", folder="root/Windows/System32")
    found = detect(computer(*WINDOWS))
    assert (found.maker, found.cuda) == ("nvidia", (12, 9))
    assert choose(None, found, computer(*WINDOWS)).index.endswith("cu128")


ROCMINFO = """cat <<'END'
*******
Agent 1
  Name:                    AMD Ryzen 9 7950X
  Marketing Name:          AMD Ryzen 9 7950X
  Device Type:             CPU
Agent 2
  Name:                    gfx1100
  Marketing Name:          AMD Radeon RX 7900 XTX
  Device Type:             GPU
END"""


def test_amd_card_is_found_by_rocminfo(computer, program):
    program("rocminfo", ROCMINFO)
    found = detect(computer())
    assert (found.maker, found.amd) == ("amd", ("gfx1100",))
    assert "Radeon RX 7900 XTX" in found.name
    build = choose(None, found, computer())
    assert (build.name, build.index) == ("rocm", "https://download.pytorch.org/whl/rocm6.4")


@pytest.mark.parametrize(("number", "name"), [("100300", "gfx1030"), ("90010", "gfx90a"), ("110001", "gfx1101")])
def test_amd_card_is_found_by_what_the_kernel_shows(computer, number, name):
    nodes = computer().root / "sys" / "class" / "kfd" / "kfd" / "topology" / "nodes"
    put_file(nodes / "0" / "properties", "simd_count 0\ngfx_target_version 0\n")
    put_file(nodes / "1" / "properties", f"simd_count 72\ngfx_target_version {number}\n")
    assert detect(computer()).amd == (name,)


def test_amd_card_without_a_build_is_told(computer):
    nodes = computer().root / "sys" / "class" / "kfd" / "kfd" / "topology" / "nodes"
    put_file(nodes / "1" / "properties", "gfx_target_version 90012\n")
    build = choose(None, detect(computer()), computer())
    assert build.name == "cpu"
    assert "gfx90c" in build.reason


def test_amd_on_windows_uses_the_usual_build(computer, program):
    program("rocminfo", ROCMINFO)
    found = detect(computer(*WINDOWS))
    assert (found.maker, choose(None, found, computer(*WINDOWS)).name) == ("none", "default")


@pytest.mark.parametrize(("machine", "maker"), [("arm64", "apple"), ("x86_64", "none")])
def test_macs(computer, machine, maker):
    found = detect(computer("darwin", machine))
    assert found.maker == maker
    assert choose(None, found, computer("darwin", machine)).index == ""


def test_nothing_is_the_small_build_on_linux(computer):
    build = choose(None, detect(computer()), computer())
    assert (build.name, build.index) == ("cpu", "https://download.pytorch.org/whl/cpu")
    assert build.size.kept < torch_builds.size_of("default", computer()).kept


@pytest.mark.parametrize("wish", torch_builds.NAMES)
def test_wish_goes_before_what_fits(computer, nvidia_smi, wish):
    nvidia_smi("12.8", "NVIDIA GeForce RTX 4070, 8.9")
    build = choose(wish, detect(computer()), computer())
    assert build.name == wish
    assert "--torch" in build.reason


def test_arm_has_no_build_of_its_own(computer):
    assert choose(None, Accelerator("none", "the processor"), computer("linux", "aarch64")).index == ""
