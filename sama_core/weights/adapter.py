"""SAMA adapter files: the trained modules alone, for one frozen SAM.

A safetensors file. Its metadata, all strings:
    format              "1"
    backbone            name of the SAM in the registry
    backbone_sha256     of the weight file of that SAM which the modules were trained on
    config              `SamaConfig` as JSON; fields that are absent have their defaults
    training            what made the file, free JSON
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from sama_core.errors import WeightsError
from sama_core.model.backbones.base import GRID
from sama_core.model.sama import SamaModules
from sama_core.model.sama_config import SamaConfig
from sama_core.weights.files import save_weights, shown, unfilled

FORMAT = "1"

#: No config has a larger number, or a longer list.
_LARGEST, _LONGEST = 4096, 8

_REMEDY = "Train it again with “sama train modules”, or get another copy of the file."


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter file says of itself.

    Attributes:
        backbone: name of the SAM it belongs to.
        backbone_sha256: checksum of that SAM's weight file, hex.
        config: architecture of the modules.
        training: what made it: data, steps, seed, ... as JSON has it.
    """

    backbone: str
    backbone_sha256: str
    config: SamaConfig
    training: dict[str, Any]


def save_adapter(
    modules: SamaModules,
    path: Path,
    backbone: str,
    backbone_sha256: str,
    training: dict[str, Any],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write an adapter file whole or not at all; floating tensors are stored as `dtype`."""
    metadata = {
        "format": FORMAT,
        "backbone": backbone,
        "backbone_sha256": backbone_sha256,
        "config": json.dumps(asdict(modules.config)),
        "training": json.dumps(training),
    }
    save_weights(modules.state_dict(), path, metadata, dtype)


def read_adapter_info(path: Path) -> AdapterInfo:
    """Read what an adapter file says of itself, without its tensors.

    Raises:
        WeightsError: the file is missing, damaged, no adapter, or of a later format.
    """
    with _opened(path) as file:
        return _info(path, file.metadata() or {})


def load_adapter(
    path: Path, early_channels: int, backbone: str, backbone_sha256: str
) -> tuple[SamaModules, AdapterInfo]:
    """Build the modules that an adapter file holds.

    Args:
        early_channels: of the backbone, `Backbone.early_channels`.
        backbone: name of the SAM the modules are to work on.
        backbone_sha256: checksum of its weight file, hex.

    Returns:
        The modules, float32 on the CPU, in evaluation mode.

    Raises:
        WeightsError: the file is missing, damaged, no adapter, of a later format, or made for another SAM or for
            other weights of the same SAM.
    """
    with _opened(path) as file:
        about = _info(path, file.metadata() or {})
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    if about.backbone != backbone:
        raise WeightsError(
            f"The adapter {path} is for the model “{shown(about.backbone)}”, not for “{backbone}”. "
            f"Use it with “{shown(about.backbone)}”, or train one for “{backbone}” with “sama train modules”."
        )
    if about.backbone_sha256 != backbone_sha256:
        raise WeightsError(
            f"The adapter {path} was trained on other weights of “{backbone}” than those in use "
            f"(SHA-256 {shown(about.backbone_sha256[:12])}…, in use {backbone_sha256[:12]}…). "
            "Use the weights it was trained on, or train it again with “sama train modules”."
        )
    try:
        with unfilled():
            modules = SamaModules(about.config, early_channels)
        modules.load_state_dict(
            {name: t.float() if t.is_floating_point() else t for name, t in state.items()}, assign=True
        )
    except Exception as error:  # sizes that make no sense break the constructors in ways of their own
        raise WeightsError(
            f"The adapter {path} does not hold the modules that its own config names. {_REMEDY}"
        ) from error
    return modules.eval(), about


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    if not path.is_file():
        raise WeightsError(f"There is no adapter {path.name} in {path.parent}. Make one with “sama train modules”.")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"The adapter {path} cannot be read ({shown(error)}). {_REMEDY}") from error


def _info(path: Path, metadata: dict[str, str]) -> AdapterInfo:
    if "format" not in metadata or "backbone" not in metadata:
        raise WeightsError(f"The file {path} is no SAMA adapter. {_REMEDY}")
    if metadata["format"] != FORMAT:
        raise WeightsError(
            f"The adapter {path} has format {shown(metadata['format'])}, and this version reads format {FORMAT}. "
            "Install the newest version of SAMA."
        )
    try:
        config, training = json.loads(metadata["config"]), json.loads(metadata["training"])
        sha256 = metadata["backbone_sha256"]
    except (KeyError, ValueError, RecursionError) as error:
        raise WeightsError(f"The adapter {path} is damaged: its description cannot be read. {_REMEDY}") from error
    if not isinstance(training, dict):
        raise WeightsError(f"The adapter {path} is damaged: its description cannot be read. {_REMEDY}")
    return AdapterInfo(metadata["backbone"], sha256, _config(path, config), training)


def _config(path: Path, values: Any) -> SamaConfig:
    if not isinstance(values, dict):
        raise WeightsError(f"The adapter {path} is damaged: its config is no JSON object. {_REMEDY}")
    defaults = asdict(SamaConfig())
    unknown = sorted(set(values) - set(defaults))
    if unknown:
        raise WeightsError(
            f"The adapter {path} has “{shown(unknown[0])}” in its config, which this version does not know. "
            "Install the newest version of SAMA."
        )
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    wrong = [name for name, value in values.items() if type(value) is not type(defaults[name]) or not _sensible(value)]
    if not wrong:
        try:
            config = SamaConfig(**values)
        except ValueError as error:
            raise WeightsError(f"The adapter {path} is damaged: {error}. {_REMEDY}") from error
        if not config.heads or config.inner_dim % config.heads:
            wrong = ["heads"]
        # a quadrant's share of the pooled map is a whole number of cells
        elif any(GRID % (2 * pool) for pool in config.pools):
            wrong = ["pools"]
        else:
            return _buildable(path, config)
    raise WeightsError(f"The adapter {path} is damaged: “{wrong[0]}” makes no sense in its config. {_REMEDY}")


def _buildable(path: Path, config: SamaConfig) -> SamaConfig:
    try:
        with unfilled():
            SamaModules(config, 1)
    except Exception as error:  # sizes that make no sense together break the constructors in ways of their own
        raise WeightsError(f"The adapter {path} is damaged: its config fits no network. {_REMEDY}") from error
    return config


def _sensible(value: Any) -> bool:
    """Whether a value can be a switch, a width, a count or a list of such, without taking all memory or time."""
    if isinstance(value, tuple):
        return len(value) <= _LONGEST and all(type(item) is int and 0 < item <= _LARGEST for item in value)
    # words are for `SamaConfig` to know
    return isinstance(value, (bool, str)) or 0 <= value <= _LARGEST
