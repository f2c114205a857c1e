import pickle
import resource

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from sama_core.errors import WeightsError
from sama_core.files import file_sha256
from sama_core.weights.files import load_weights, save_weights


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_weights_come_back_at_half_precision(network, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(network.state_dict(), path, {"model": "test"})
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    assert load_weights(other, path, file_sha256(path)) == {"model": "test"}
    torch.testing.assert_close(other[0].weight, network[0].weight, atol=1e-3, rtol=1e-3)
    assert other[0].weight.dtype == torch.float32
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_file_that_cannot_be_finished_leaves_nothing(network, tmp_path):
    """A limit on the size of files stands in for a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises((OSError, SafetensorError), match="File too large"):
            save_weights(network.state_dict(), tmp_path / "w.safetensors", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_says_how_to_mend_it(network, tmp_path):
    with pytest.raises(WeightsError, match=r"missing.*installer"):
        load_weights(network, tmp_path / "none.safetensors")


def test_a_changed_byte_is_noticed(network, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(network.state_dict(), path, {})
    checksum = file_sha256(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="checksum"):
        load_weights(network, path, checksum)


@pytest.mark.parametrize("keep", [0, 4, 40, 200])
def test_a_truncated_file_is_refused(network, tmp_path, keep):
    path = tmp_path / "w.safetensors"
    save_weights(network.state_dict(), path, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(network, path)


def test_a_pickle_is_never_unpickled(network, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError):
        load_weights(network, path)
    assert not (tmp_path / "exploded").exists()


def test_another_networks_weights_are_refused(network, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(nn.Linear(2, 2).state_dict(), path, {})
    with pytest.raises(WeightsError, match="another model"):
        load_weights(network, path)
