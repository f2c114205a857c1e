"""Multi-View Local Encoder: local views asked in the context of the whole picture (paper section 3.2, Eq. 2-3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from sama_core.model.attention import CrossAttention, FeedForward
from sama_core.model.views import QUADRANTS, quarter, to_tokens


class Mvle(nn.Module):
    """Cross-attention of each local view to the pooled global tokens of its own region.

    Q_m = F_Lm W_Qm, K_m = F_Im^pool W_Km, V_m = F_Im^pool W_Vm, F'_Pm = CrossAttn(Q_m, K_m, V_m) (Eq. 2-3), with
    projections of its own for each quadrant m. The equations write neither residual nor norm; without a residual the
    local view would survive in the attention weights alone, so F' = LN(F_L + attention), then a feed-forward layer, as
    in MVANet (Yu et al. 2024), from which the encoder descends.

    Args:
        dim: channels of the embeddings.
        local_dim: width of the local tokens; where it is not `dim`, the local embeddings are projected first.
        inner_dim: inner width of the attention.
        heads: heads of the attention.
        pools: kernel and stride of each average pooling of the global map.
        ffn_dim: hidden width of the feed-forward layer; 0 leaves it out.
    """

    def __init__(
        self, dim: int, local_dim: int, inner_dim: int, heads: int, pools: tuple[int, ...], ffn_dim: int
    ) -> None:
        super().__init__()
        self.pools = pools
        self.narrow = nn.Identity() if local_dim == dim else nn.Linear(dim, local_dim)
        self.attentions = nn.ModuleList(CrossAttention(local_dim, dim, inner_dim, heads) for _ in range(QUADRANTS))
        self.norm = nn.LayerNorm(local_dim)
        self.feed_forward = FeedForward(local_dim, ffn_dim) if ffn_dim else nn.Identity()

    def context(self, global_map: torch.Tensor) -> torch.Tensor:
        """Pool B×C×64×64 by each of `pools` and sort by region: B×4×K×C, K = 84 for 64×64 maps and pools 4, 8, 16."""
        pooled = [to_tokens(quarter(F.avg_pool2d(global_map, pool))) for pool in self.pools]
        return torch.cat(pooled, dim=2)

    def forward(self, global_map: torch.Tensor, local_maps: torch.Tensor) -> torch.Tensor:
        """Encode B×C×s×s global and B×4×C×s×s local embeddings; returns F'_P as B×4×(s·s)×local_dim tokens."""
        context = self.context(global_map)
        local = self.narrow(to_tokens(local_maps))
        attended = [attention(local[:, m], context[:, m], context[:, m]) for m, attention in enumerate(self.attentions)]
        return self.feed_forward(self.norm(local + torch.stack(attended, dim=1)))
