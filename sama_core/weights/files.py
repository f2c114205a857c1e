"""Reading and writing weight files: safetensors only, so that bytes from elsewhere are never unpickled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from sama_core.errors import WeightsError
from sama_core.files import file_sha256
from sama_core.model.refiner import Refiner

#: The weight file of the alpha refiner, which comes with the package.
REFINER = Path(__file__).parent / "bundled" / "refiner.safetensors"
#: Its checksum, hex.
REFINER_SHA256 = "85aaa50f98d19001232d11867fb3ae3483259b775d3a1b5947bec47d303531d5"


def save_weights(
    state: dict[str, torch.Tensor], path: Path, metadata: dict[str, str], dtype: torch.dtype = torch.float16
) -> None:
    """Write a state dict whole or not at all; floating tensors are stored as `dtype`."""
    tensors = {name: (t.to(dtype) if t.dtype.is_floating_point else t).cpu().contiguous() for name, t in state.items()}
    temporary = path.with_suffix(".tmp")
    try:
        save_file(tensors, temporary, metadata)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_weights(model: nn.Module, path: Path, sha256: str = "") -> dict[str, str]:
    """Load a safetensors file into `model` and return the file's metadata.

    Args:
        sha256: expected checksum of the file, hex; empty does not check.

    Raises:
        WeightsError: the file is missing, damaged, has another checksum, or belongs to another network.
    """
    if not path.is_file():
        raise WeightsError(
            f"The weight file {path.name} is missing from {path.parent}. Run the installer again to repair it."
        )
    if sha256 and file_sha256(path) != sha256:
        raise WeightsError(
            f"The weight file {path} is damaged: its checksum is wrong. Run the installer again to repair it."
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"The weight file {path} cannot be read ({shown(error)}). Run the installer again to repair it."
        ) from error
    # Beforehand, for torch loads what fits before it says what does not.
    if {name: tensor.shape for name, tensor in model.state_dict().items()} != {n: t.shape for n, t in state.items()}:
        raise WeightsError(
            f"The weight file {path} belongs to another model or version. Run the installer again to repair it."
        )
    model.load_state_dict(state)
    return metadata


def load_refiner() -> Refiner:
    """Build the refiner that ships: float32 on the CPU, in evaluation mode.

    Raises:
        WeightsError: the file is missing, damaged or another network's.
    """
    network = Refiner(folded=True)
    load_weights(network, REFINER, REFINER_SHA256)
    network.eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@contextlib.contextmanager
def unfilled() -> Iterator[None]:
    """Within this context networks are built on the meta device, without numbers; loading fills them.

    Filling there, as constructors do, imports PyTorch's compiler, which takes longer than building the network.
    """
    with torch.device("meta"), _Unfilled():
        yield


#: What the functions of `nn.init` that are not seen as a whole fill with.
_FILLS = frozenset({"normal_", "uniform_", "zero_", "fill_", "erfinv_", "mul_", "add_", "clamp_"})


class _Unfilled(TorchFunctionMode):
    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init" or func.__name__ in _FILLS:
            # `nn.init`'s functions may name what they fill
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def shown(what: object) -> str:
    """A text that comes from a file, or what its reader complains of, fit for one line of a message."""
    return "".join(letter if letter.isprintable() else " " for letter in str(what)[:200])
