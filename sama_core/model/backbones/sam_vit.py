"""SAM's own image encoders ViT-B, ViT-L and ViT-H, as `segment_anything` builds them.

Nothing of the package is copied or changed: the early features are read by a forward hook, and its explicit attention
is replaced, module by module, by one that computes the same with `scaled_dot_product_attention`.
"""

from __future__ import annotations

import segment_anything
import torch
from segment_anything.modeling import ImageEncoderViT, Sam
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from sama_core.model.backbones.base import GRID, Features
from sama_core.model.sam import PromptableSam

#: Bytes of positional bias held at once. A processor is quickest when the bias stays in its cache; a GPU wants few
#: and large calls.
_BIAS_BYTES_CPU = 16 * 2**20
_BIAS_BYTES_GPU = 2**30


class SamVitAttention(nn.Module):
    """The attention of a block of SAM's image encoder, without its N×N matrix for every head at once.

    softmax(q kᵀ / √d + b) v with the decomposed relative positions of MViTv2 (Li et al. 2022, Eq. 4),
    b[(y, x), (y', x')] = q·R_h[y - y'] + q·R_w[x - x'], handed over as the additive mask of
    `scaled_dot_product_attention`. The mask is made for as many heads and rows at a time as `_BIAS_BYTES_*` allow.

    Args:
        stock: the module to stand in for; its parameters are taken over under the same names.
    """

    def __init__(self, stock: Attention) -> None:
        super().__init__()
        self.num_heads = stock.num_heads
        self.qkv = stock.qkv
        self.proj = stock.proj
        self.use_rel_pos = stock.use_rel_pos
        if stock.use_rel_pos:
            self.rel_pos_h = stock.rel_pos_h
            self.rel_pos_w = stock.rel_pos_w

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend within each map of B×H×W×C; returns the same shape."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1)
        # 3 × (B·heads) × 1 × N × d: windows and heads alike are maps that do not see each other
        q, k, v = qkv.permute(2, 0, 3, 1, 4).reshape(3, batch * self.num_heads, 1, height * width, -1).unbind(0)
        if self.use_rel_pos:
            attended = self._attend(q, k, v, height, width)
        else:
            attended = scaled_dot_product_attention(q, k, v)
        attended = attended.view(batch, self.num_heads, height, width, -1).permute(0, 2, 3, 1, 4)
        return self.proj(attended.reshape(batch, height, width, -1))

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, height: int, width: int) -> torch.Tensor:
        maps = q.shape[0]
        grid = q.view(maps, height, width, -1)
        by_row = torch.einsum("myxc,ykc->myxk", grid, get_rel_pos(height, height, self.rel_pos_h)).contiguous()
        by_column = torch.einsum("myxc,xkc->myxk", grid, get_rel_pos(width, width, self.rel_pos_w)).contiguous()
        row_bytes = width * height * width * q.element_size()
        budget = _BIAS_BYTES_CPU if q.device.type == "cpu" else _BIAS_BYTES_GPU
        rows = min(height, max(1, budget // row_bytes))
        together = max(1, budget // (row_bytes * height))
        out = torch.empty_like(q)
        for first in range(0, maps, together):
            m = slice(first, first + together)
            for top in range(0, height, rows):
                y = slice(top, top + rows)
                n = slice(top * width, (top + rows) * width)
                bias = by_row[m, y, :, :, None] + by_column[m, y, :, None, :]
                bias = bias.flatten(3).flatten(1, 2).unsqueeze(1).to(q.dtype)
                out[m, :, n] = scaled_dot_product_attention(q[m, :, n], k[m], v[m], attn_mask=bias)
        return out


class SamVitBackbone(nn.Module):
    """A `segment_anything` image encoder that also gives the output of its first block with global attention.

    That block's output is HQ-SAM's early feature (Ke et al. 2023): block 2, 5, 7 of ViT-B, -L, -H, counted from 0,
    768, 1024, 1280 channels.

    Args:
        image_encoder: its attention modules are replaced in place; the names of its parameters stay.
    """

    pixel_mean = (123.675, 116.28, 103.53)
    pixel_std = (58.395, 57.12, 57.375)

    def __init__(self, image_encoder: ImageEncoderViT) -> None:
        super().__init__()
        grid = image_encoder.img_size // image_encoder.patch_embed.proj.kernel_size[0]
        if grid != GRID:
            raise ValueError(f"the image encoder's grid is {grid}×{grid}, SAM's is {GRID}×{GRID}")
        self.image_encoder = image_encoder
        self.input_size = image_encoder.img_size
        self.early_channels = image_encoder.patch_embed.proj.out_channels
        self.early_block = next(i for i, block in enumerate(image_encoder.blocks) if block.window_size == 0)
        for block in image_encoder.blocks:
            assert isinstance(block.attn, Attention)
            block.attn = SamVitAttention(block.attn)

    def forward(self, x: torch.Tensor) -> Features:
        """Encode B×3×S×S to `Features` (early: B×C×64×64)."""
        early: list[torch.Tensor] = []

        def keep(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            early.append(output)

        # For this call only: a hook that stays would have to keep the feature between calls.
        handle = self.image_encoder.blocks[self.early_block].register_forward_hook(keep)
        try:
            embedding = self.image_encoder(x)
        finally:
            handle.remove()
        return Features(embedding, early[0].permute(0, 3, 1, 2))


def wrap_sam(sam: Sam) -> PromptableSam:
    """Make our model of a `segment_anything` model; the encoders are shared, the decoder's tensors too."""
    model = PromptableSam(SamVitBackbone(sam.image_encoder))
    model.prompt_encoder = sam.prompt_encoder
    model.mask_decoder.load_state_dict(sam.mask_decoder.state_dict(), assign=True)
    return model


def build_sam_vit(name: str) -> PromptableSam:
    """Build `vit_b`, `vit_l` or `vit_h` with random weights.

    Under `torch.device("meta")` that costs neither time nor memory; `sam_checkpoint.load_sam_checkpoint` fills it.
    """
    return wrap_sam(segment_anything.sam_model_registry[name]())
