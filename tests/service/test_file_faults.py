"""Faults of the files that the product's own engine reads and keeps: embeddings and weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_disk import SmallDisk
from user_desk import Desk

from sama_core.weights.registry import MODELS

SIZE = (60, 40)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    home = tmp_path_factory.mktemp("desk") / "home"
    home.mkdir(mode=0o700)
    disk = SmallDisk(home, 64 * 2**20)
    yield disk
    disk.end()


@pytest.fixture(scope="module")
def desk(disk: SmallDisk) -> Iterator[Desk]:
    """The product's own engine, with the model that is shipped."""
    desk = Desk(disk.path.parent, disk)
    desk.install(["-m", "sama_core.service"])
    yield desk
    desk.end()


def ask(desk: Desk, colour: int, model: str = "lite") -> str:
    [outcome] = desk.outcomes(desk.spawn([colour], model=model, size=SIZE))
    assert outcome.status == "answer", outcome
    return outcome.digest


def kept(desk: Desk) -> set[Path]:
    return set((desk.view / "cache" / "embeddings").glob("*.safetensors"))


def engine_log(desk: Desk) -> str:
    return (desk.view / "logs" / "engine.log").read_text()


def test_damaged_embeddings(desk: Desk, fault):
    fault("files of the cache cut short or with one bit flipped", "made again; the answer is the same")
    first = ask(desk, 60)
    of_first = kept(desk)
    second = ask(desk, 90)
    of_second = kept(desk) - of_first
    desk.end()
    for path in of_first:
        os.truncate(path, path.stat().st_size - 100)
    for path in of_second:
        data = bytearray(path.read_bytes())
        data[-1000] ^= 0x40
        path.write_bytes(data)
    assert of_first and of_second
    assert (ask(desk, 60), ask(desk, 90)) == (first, second)
    assert engine_log(desk).count("is unusable and will be made again") == len(of_first | of_second)
    assert kept(desk) == of_first | of_second
    fault.saw("Both answers as before; the files were made again.")


def test_no_room_for_embeddings(desk: Desk, disk: SmallDisk, fault):
    fault("disk full while an embedding is kept", "answers as ever")
    disk.fill()
    before = kept(desk)
    try:
        ask(desk, 120)
    finally:
        disk.make_room()
    assert kept(desk) == before and not desk.drafts()
    fault.saw("Right to the end, without a file of the embedding or a part of one.")


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["cut short", "altered", "a pickle bomb"])
def test_bad_weights(desk: Desk, tmp_path: Path, fault, kind: str):
    fault(f"weight file {kind}", "error with a remedy; nothing in it is run; other models go on")
    about = MODELS["vit_b"]
    path = desk.view / "weights" / about.file
    path.parent.mkdir(exist_ok=True)
    crater = tmp_path / "crater"
    if kind == "a pickle bomb":
        torch.save({"image_encoder.pos_embed": Bomb(crater)}, path)
    else:
        path.write_bytes(b"PK\3\4")
    # The rest is a hole in the file, which takes no room.
    os.truncate(path, about.size - (1 if kind == "cut short" else 0))
    [outcome] = desk.outcomes(desk.spawn([60], model="vit_b", size=SIZE))
    assert outcome.status == "execution_error"
    assert ("bytes and should have" if kind == "cut short" else "checksum is wrong") in outcome.message
    assert "sama weights" in outcome.message or "Fetch it" in outcome.message
    assert not crater.exists()
    ask(desk, 60)
    assert len(desk.processes()) == 1
    fault.saw(f"“{outcome.message}”", "The same engine answered with another model.")
