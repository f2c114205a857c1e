"""Weight files with damage: a network, or `WeightsError` with a remedy; nothing in them is executed."""

from __future__ import annotations

import io
import json
import pickle
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import assert_helpful, mutated
from safetensors.torch import save
from torch import nn

from sama_core.errors import WeightsError
from sama_core.model.sama import SamaModules
from sama_core.model.sama_config import SamaConfig
from sama_core.weights.adapter import load_adapter, read_adapter_info
from sama_core.weights.files import load_weights
from sama_core.weights.sam_checkpoint import load_sam_checkpoint

SMALL = SamaConfig(local_dim=8, inner_dim=8, heads=1, pools=(8,), mvle_ffn_dim=0, adapter_ffn_dim=0, head_channels=(4,))
SHA, CHANNELS = "ab" * 32, 3


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


class _Checkpointed(nn.Module):
    """Has the parts of a SAM that reading a checkpoint looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.image_encoder = nn.Module()
        self.backbone.image_encoder.pos_embed = nn.Parameter(torch.ones(1, 2, 2, 4))
        self.mask_decoder = nn.Linear(3, 2)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "backbone":
            value.early_channels = 4


CHECKPOINT = {
    "image_encoder.pos_embed": torch.ones(1, 2, 2, 4),
    "mask_decoder.weight": torch.ones(2, 3),
    "mask_decoder.bias": torch.ones(2),
}


def _pickled(state: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(state, file, **options)
    return file.getvalue()


def adapter_with(**changes: Any) -> bytes:
    config = {**asdict(SMALL), **{name: value for name, value in changes.items() if name in asdict(SMALL)}}
    described = {
        "format": "1",
        "backbone": "lite",
        "backbone_sha256": SHA,
        "config": json.dumps(config),
        "training": "{}",
        **{name: value for name, value in changes.items() if name not in config},
    }
    return save(SamaModules(SMALL, CHANNELS).state_dict(), described)


NETWORK = save(network().state_dict(), {"about": "a small network"})
ADAPTER = adapter_with()
ZIPPED, LEGACY = _pickled(CHECKPOINT), _pickled(CHECKPOINT, _use_new_zipfile_serialization=False)


@st.composite
def other_header(draw: st.DrawFn, data: bytes) -> bytes:
    """A safetensors file whose JSON header has been edited, its length put right."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name in draw(st.lists(st.sampled_from(list(header)), min_size=1, max_size=3)):
        if name == "__metadata__" or not isinstance(header.get(name), dict):
            continue
        entry = header[name]
        entry[draw(st.sampled_from(list(entry)))] = draw(
            st.sampled_from(["F64", "F16", "BF16", "F8_E4M3", "F8_E8M0", "F4", "U16", "U64", "I64", "BOOL", "C64", "X"])
            | st.lists(st.sampled_from([0, 1, 2, 3, 2**31, 2**63, -1, 10**30]), max_size=4)
            | st.none()
        )
        if draw(st.booleans()):
            header[draw(st.text(max_size=5))] = header.pop(name)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _refused_or_read(read: Any, *arguments: Any) -> bool:
    try:
        read(*arguments)
    except WeightsError as error:
        assert_helpful(error)
        return False
    return True


def test_seeds_are_weights(tmp_path):
    path = tmp_path / "seed"
    path.write_bytes(NETWORK)
    assert load_weights(network(), path) == {"about": "a small network"}
    path.write_bytes(ADAPTER)
    assert load_adapter(path, CHANNELS, "lite", SHA)[1].config == SMALL
    for data in (ZIPPED, LEGACY):
        path.write_bytes(data)
        load_sam_checkpoint(_Checkpointed(), path)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("weights") / "damaged"


@given(data=mutated(NETWORK) | other_header(NETWORK) | st.binary(max_size=60))
@example(data=struct.pack("<Q", 2**63) + b"{}")
@example(data=struct.pack("<Q", 60_000) + b"[" * 60_000)
def test_weight_files(path, data):
    path.write_bytes(data)
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if not _refused_or_read(load_weights, model, path):
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name]), "a refused file leaves the network as it was"


CONFIG_VALUES = st.sampled_from([0, 1, 7, -1, 4096, 10**9, 10**30, 0.5, None, "a", [], [0], [1] * 9, [4, -4], True])


@given(
    data=mutated(ADAPTER)
    | other_header(ADAPTER)
    | st.dictionaries(st.sampled_from([*asdict(SMALL), "more"]), CONFIG_VALUES, min_size=1, max_size=2).map(
        lambda changes: adapter_with(config=json.dumps({**asdict(SMALL), **changes}))
    )
    | st.dictionaries(
        st.sampled_from(["format", "backbone", "backbone_sha256", "config", "training"]),
        st.sampled_from(["", "[]", "null", "1e999", "{", "[" * 50_000, "a\nb", "x" * 5000, "9" * 5000]),
        min_size=1,
    ).map(lambda changes: adapter_with(**changes))
)
def test_adapters(path, data):
    path.write_bytes(data)
    _refused_or_read(load_adapter, path, CHANNELS, "lite", SHA)
    _refused_or_read(read_adapter_info, path)


@given(data=mutated(ZIPPED) | mutated(LEGACY) | st.binary(max_size=60))
def test_checkpoints(path, data):
    path.write_bytes(data)
    model = _Checkpointed()
    _refused_or_read(load_sam_checkpoint, model, path)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


class _Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._mark,))


@pytest.mark.parametrize("new", [True, False])
def test_a_pickle_that_would_do_something_does_nothing(path, tmp_path, new):
    mark = tmp_path / "done"
    for state in (_Bomb(mark), {**CHECKPOINT, "more": _Bomb(mark)}):
        path.write_bytes(_pickled(state, _use_new_zipfile_serialization=new))
        assert not _refused_or_read(load_sam_checkpoint, _Checkpointed(), path)
    path.write_bytes(pickle.dumps(_Bomb(mark)))
    for read in (lambda: load_sam_checkpoint(_Checkpointed(), path), lambda: load_weights(network(), path)):  # pyright: ignore[reportArgumentType]
        assert not _refused_or_read(read)
    assert not mark.exists()


@pytest.mark.parametrize(
    "state",
    [
        [1, 2],
        {"a": 1},
        {**CHECKPOINT, "mask_decoder.bias": torch.ones(())},
        {**CHECKPOINT, "image_encoder.pos_embed": torch.ones(())},
        {**CHECKPOINT, "image_encoder.pos_embed": torch.ones(1, 2, 2, 1024)},
        {**CHECKPOINT, "mask_decoder.bias": torch.eye(2).to_sparse()},
        {**CHECKPOINT, "mask_decoder.bias": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)},
        # claims 4 TB and holds one number
        {**CHECKPOINT, "mask_decoder.bias": torch.ones((), dtype=torch.float16).expand(10**6, 10**6)},
        {**CHECKPOINT, "more": torch.ones((), dtype=torch.float16).expand(10**6, 10**6)},
        {**CHECKPOINT, "mask_decoder.bias": torch.empty(2, device="meta")},
    ],
    ids=range(10),
)
def test_checkpoints_of_odd_tensors(path, state):
    path.write_bytes(_pickled(state))
    assert not _refused_or_read(load_sam_checkpoint, _Checkpointed(), path)
