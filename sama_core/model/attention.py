"""Multi-head cross-attention, as SAM's decoder has it (projections to a smaller inner width), on torch's kernel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class CrossAttention(nn.Module):
    """softmax(Q Kᵀ / √d) V with linear projections (Vaswani et al. 2017; SAM's decoder narrows the inner width too).

    Args:
        dim: width of the tokens that ask, and of the answer.
        other_dim: width of the tokens that are asked.
        inner_dim: width of queries, keys and values together; a multiple of `heads`.
        heads: number of heads.
    """

    def __init__(self, dim: int, other_dim: int, inner_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, inner_dim)
        self.k_proj = nn.Linear(other_dim, inner_dim)
        self.v_proj = nn.Linear(other_dim, inner_dim)
        self.out_proj = nn.Linear(inner_dim, dim)

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Attend from N×Q×dim queries to N×K×other_dim keys and values; returns N×Q×dim."""
        queries, keys, values = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with GELU between, residual and LayerNorm after: LN(x + W₂ GELU(W₁ x))."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map …×dim to …×dim."""
        return self.norm(x + self.layers(x))
