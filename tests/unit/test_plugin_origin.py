from __future__ import annotations

import gzip
import struct

import pytest

from gimp_plugin.sama_select.sama import origin


def xcf(properties, version=b"v011"):
    head = b"gimp xcf " + version + b"\0" + struct.pack(">III", 96, 80, 0)
    head += struct.pack(">I", 150) if version not in (b"file", b"v002") else b""
    return head + b"".join(struct.pack(">II", kind, len(data)) + data for kind, data in properties) + bytes(8)


@pytest.mark.parametrize("version", [b"file", b"v002", b"v004", b"v011", b"v018"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_xcf_tells_how_far_its_tattoos_go(tmp_path, version, pack):
    file = tmp_path / "a.xcf"
    file.write_bytes(pack(xcf([(17, b"\1"), (19, bytes(8)), (20, struct.pack(">I", 9)), (22, bytes(4))], version)))
    assert origin.xcf_tattoo_state(file) == 9


@pytest.mark.parametrize("data", [b"", b"gimp xcf ", xcf([(17, b"\1")]), xcf([])[:30], b"\x1f\x8b broken", b"PNG" * 99])
def test_anything_else_tells_nothing(tmp_path, data):
    file = tmp_path / "a.xcf"
    file.write_bytes(data)
    assert origin.xcf_tattoo_state(file) is None
    assert origin.resource_path_names(file) == set()


def test_a_missing_file_tells_nothing(tmp_path):
    assert origin.xcf_tattoo_state(tmp_path / "none") is None
    assert origin.resource_path_names(tmp_path / "none") == set()


def test_photoshops_resources_name_their_paths(tmp_path):
    file = tmp_path / "a.tif"
    resources = [(1005, b"no path"), (2000, b"Path 1"), (2001, "Käfer".encode()), (2999, b"clipping")]
    packed = (b"8BIM" + struct.pack(">HB", number, len(name)) + name for number, name in resources)
    file.write_bytes(b"II*\0" + bytes(500) + b"".join(packed) + b"8BIM")
    names = origin.resource_path_names(file)
    assert {"Path 1", "Käfer"} <= names
    assert not {"no path", "clipping"} & names
