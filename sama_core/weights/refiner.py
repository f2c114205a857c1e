"""The weight file of the alpha refiner, which comes with the package."""

from __future__ import annotations

from pathlib import Path

import torch

from sama_core.model.refiner import Refiner
from sama_core.weights.files import load_weights

FILE = Path(__file__).parent / "bundled" / "refiner.safetensors"
#: Checksum of that file, hex.
SHA256 = "85aaa50f98d19001232d11867fb3ae3483259b775d3a1b5947bec47d303531d5"


def load_refiner() -> Refiner:
    """Build the refiner that ships: float32 on the CPU, in evaluation mode.

    Raises:
        WeightsError: the file is missing, damaged or another network's.
    """
    network = Refiner(folded=True)
    load_weights(network, FILE, SHA256)
    network.eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
