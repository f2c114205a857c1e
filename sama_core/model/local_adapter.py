"""Local-Adapter: the decoder's image tokens look into the local views, and back (paper section 3.3, Eq. 4-9)."""

from __future__ import annotations

import torch
from torch import nn

from sama_core.model.attention import CrossAttention, FeedForward
from sama_core.model.views import QUADRANTS, quarter_tokens, tile_tokens


class LocalAdapter(nn.Module):
    """Stands after a decoder layer: hands local detail to the image tokens, and what they know to the local tokens.

    Per region m, with projections shared by all regions:
      F''_m = CrossAttn(Q = F_out, K = V = L_m)            (Eq. 4-7)
      C = σ(Conv1×1(F_out)) ⊙ F'',  F'_out = F_out + C     (Eq. 8-9)
      L'_m = LN(L_m + CrossAttn(Q = L_m, K = V = F_out,m)) (second cross-attention, roles swapped)
    where L is F'_P + F_early in the first adapter and L' of the first in the second. Positional encodings join queries
    and keys, as everywhere in SAM's decoder. The first attention's last layer begins at zero: an untrained adapter
    changes nothing.

    Args:
        dim: width of the image tokens.
        local_dim: width of the local tokens.
        inner_dim, heads: of the attentions.
        ffn_dim: hidden width of a feed-forward layer on L'; 0 leaves it out.
        regional: attend region by region (Eq. 7's index m); False attends over the whole picture.
    """

    def __init__(self, dim: int, local_dim: int, inner_dim: int, heads: int, ffn_dim: int, regional: bool) -> None:
        super().__init__()
        self.regional = regional
        self.to_local = CrossAttention(dim, local_dim, inner_dim, heads)
        self.to_global = CrossAttention(local_dim, dim, inner_dim, heads)
        self.gate = nn.Linear(dim, 1)  # a 1×1 convolution, written on tokens
        self.norm = nn.LayerNorm(local_dim)
        self.feed_forward = FeedForward(local_dim, ffn_dim) if ffn_dim else nn.Identity()
        nn.init.zeros_(self.to_local.out_proj.weight)
        nn.init.zeros_(self.to_local.out_proj.bias)

    def forward(
        self, image: torch.Tensor, local: torch.Tensor, image_pe: torch.Tensor, local_pe: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Exchange.

        Args:
            image: B×N×dim, F_out, the image tokens that the decoder layer gave.
            local: B×4×M×local_dim local tokens.
            image_pe: B×N×dim, local_pe: B×4×M×local_dim positional encodings.

        Returns:
            F'_out B×N×dim and the local tokens for the next adapter B×4×M×local_dim.
        """
        regions, regions_pe = quarter_tokens(image), quarter_tokens(image_pe)
        if self.regional:
            flat = [x.flatten(0, 1) for x in (regions, regions_pe, local, local_pe)]
        else:
            flat = [x.flatten(1, 2) for x in (regions, regions_pe, local, local_pe)]
        near, near_pe, far, far_pe = flat
        seen = self.to_local(near + near_pe, far + far_pe, far).reshape(regions.shape)
        told = self.to_global(far + far_pe, near + near_pe, near).reshape(local.shape)
        confidence = torch.sigmoid(self.gate(image))
        assert seen.shape[1] == QUADRANTS
        return image + confidence * tile_tokens(seen), self.feed_forward(self.norm(local + told))
