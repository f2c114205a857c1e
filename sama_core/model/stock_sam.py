"""The modules of `segment_anything` that are part of our models, imported without the rest of the package.

The package's own predictor imports torchvision, which takes longer than all else that an engine needs to start.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
    from segment_anything.modeling.common import LayerNorm2d
    from segment_anything.modeling.mask_decoder import MLP
    from segment_anything.modeling.transformer import TwoWayAttentionBlock
else:
    _PACKAGE = "segment_anything"
    if _PACKAGE not in sys.modules:
        _spec = importlib.util.find_spec(_PACKAGE)
        if _spec is None:
            raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
        _package = sys.modules[_PACKAGE] = importlib.util.module_from_spec(_spec)

        def _whole(name):
            """Whoever asks the package for more than its modules gets it whole."""
            del _package.__getattr__
            _spec.loader.exec_module(_package)
            return getattr(_package, name)

        _package.__getattr__ = _whole
    _modeling = importlib.import_module(f"{_PACKAGE}.modeling")
    MaskDecoder, PromptEncoder = _modeling.MaskDecoder, _modeling.PromptEncoder
    TwoWayTransformer = _modeling.TwoWayTransformer
    TwoWayAttentionBlock = _modeling.transformer.TwoWayAttentionBlock
    LayerNorm2d = _modeling.common.LayerNorm2d
    MLP = _modeling.mask_decoder.MLP

__all__ = ["MLP", "LayerNorm2d", "MaskDecoder", "PromptEncoder", "TwoWayAttentionBlock", "TwoWayTransformer"]
