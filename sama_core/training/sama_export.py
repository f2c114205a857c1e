"""From a training run to an adapter file and back."""

from __future__ import annotations

from pathlib import Path

import torch

from sama_core.errors import ConfigError
from sama_core.model.sama import SamaModules
from sama_core.training.config_file import load_config
from sama_core.training.sama_config import SamaTrainConfig
from sama_core.weights.adapter import load_adapter, save_adapter


def export_run(folder: Path, out: Path) -> int:
    """Write the averaged weights of a run's last checkpoint as an adapter file.

    Args:
        folder: of the run.
        out: the file, .safetensors; its metadata names data sets with their numbers of targets, steps and seed.

    Returns:
        The step of the checkpoint.

    Raises:
        ConfigError: there is no run in the folder, or it has no checkpoint yet.
    """
    config = load_config(folder / "config.toml", SamaTrainConfig)
    if not (folder / "last.pt").is_file():
        raise ConfigError(f"The run in {folder} has no checkpoint yet. Let it train {config.checkpoint_every} steps.")
    state = torch.load(folder / "last.pt", map_location="cpu", weights_only=True)
    modules = SamaModules(config.modules, state["early_channels"])
    modules.load_state_dict(state["ema"])
    provenance = state["provenance"]
    training = {
        "steps": state["step"],
        "seed": config.seed,
        "tasks": list(config.tasks),
        "data": provenance["data"],
        "start": provenance["start"],
    }
    save_adapter(modules, out, config.model, provenance["backbone_sha256"], training)
    return state["step"]


def start_from(
    adapter: Path, config: SamaTrainConfig, early_channels: int, backbone_sha256: str
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Take from an adapter what fits the modules of a recipe; the rest begins at random as `config.seed` says.

    Args:
        adapter: for the same SAM with the same weights.
        config: the recipe.
        early_channels: of the backbone.
        backbone_sha256: of the SAM's weights, hex.

    Returns:
        A whole state of the modules, and the names of the tensors that begin anew.

    Raises:
        WeightsError: the adapter is missing, damaged, or for another SAM.
        ConfigError: nothing of it fits.
    """
    trained = load_adapter(adapter, early_channels, config.model, backbone_sha256)[0].state_dict()
    torch.manual_seed(config.seed)
    state = SamaModules(config.modules, early_channels).state_dict()
    fitting = {name for name, tensor in state.items() if name in trained and trained[name].shape == tensor.shape}
    if not fitting:
        raise ConfigError(f"Nothing of {adapter} fits the recipe's modules. Start without it, or change [modules].")
    return {**state, **{name: trained[name] for name in fitting}}, sorted(set(state) - fitting)
