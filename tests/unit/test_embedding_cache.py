import os

import pytest
import torch
from safetensors.torch import save_file

from sama_core.inference.embedding_cache import EmbeddingCache
from sama_core.model.backbones.base import Features


def features(value: float) -> Features:
    finer = torch.full((1, 3, 32, 32), 2 * value), torch.full((1, 5, 16, 16), 3 * value)
    return Features(torch.full((1, 4, 8, 8), value), torch.full((1, 2, 8, 8), -value), finer)


def test_another_process_finds_it_on_disk(tmp_path):
    EmbeddingCache(tmp_path).put("a", features(1.5))
    found = EmbeddingCache(tmp_path).get("a")
    assert found is not None
    wanted = features(1.5).tensors()
    assert found.tensors().keys() == wanted.keys()
    assert all(torch.equal(found.tensors()[name], wanted[name]) for name in wanted)


def test_ram_keeps_the_most_recently_used(tmp_path):
    cache = EmbeddingCache(None, ram_entries=2)
    cache.put("a", features(1))
    cache.put("b", features(2))
    cache.get("a")
    cache.put("c", features(3))
    assert cache.get("a") is not None
    assert cache.get("b") is None


def test_the_disk_cap_removes_the_oldest(tmp_path):
    size = _size_of_one(tmp_path / "probe")
    folder = tmp_path / "cache"
    cache = EmbeddingCache(folder, disk_bytes=int(2.5 * size))
    for age, key in enumerate(("old", "middle", "new")):
        cache.put(key, features(age))
        os.utime(folder / f"{key}.safetensors", (1000 + age, 1000 + age))
    cache.put("last", features(9))
    assert sorted(path.stem for path in folder.iterdir()) == ["last", "new"]


def _size_of_one(folder):
    EmbeddingCache(folder).put("x", features(0))
    return (folder / "x.safetensors").stat().st_size


@pytest.mark.parametrize(
    "damage", ["truncate", "flip header", "flip one bit of the last number", "empty", "no checksum"]
)
def test_a_damaged_file_is_removed_and_costs_one_encoding(tmp_path, damage):
    EmbeddingCache(tmp_path).put("a", features(1))
    path = tmp_path / "a.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "flip header":
        data[12] ^= 0xFF
    if damage == "flip one bit of the last number":
        data[-1] ^= 1
    if damage == "no checksum":
        save_file(features(1).tensors(), path)
    else:
        path.write_bytes({"truncate": data[:-5], "empty": b""}.get(damage, data))
    assert EmbeddingCache(tmp_path).get("a") is None
    assert not path.exists()


def test_a_folder_that_cannot_be_written_leaves_ram(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    cache = EmbeddingCache(blocked / "cache")
    cache.put("a", features(1))
    assert cache.get("a") is not None


def test_every_part_of_the_key_counts():
    keys = {EmbeddingCache.key(*parts) for parts in (("a", "b"), ("ab", ""), ("a", "c"), ("a", "b", 1))}
    assert len(keys) == 4
