"""Every size and switch of the SAMA modules; written into an adapter file, so that a file says what it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamaConfig:
    """Architecture of the SAMA modules. The defaults are the paper's reading; `LITE` is the bundled model's.

    Attributes:
        mvle, adapter: ablation switches (paper Tables 3 and 4). Without MVLE the local tokens are the projected early
            features alone; without Local-Adapters the decoder is unmodified and the local tokens go straight to the
            heads; without both the heads read the decoder's output alone.
        local_dim: width of the local tokens and of what the heads read.
        inner_dim, heads: of every attention.
        pools: average pooling of the global map, kernel and stride.
        mvle_ffn_dim, adapter_ffn_dim: hidden widths of the feed-forward layers; 0 for none.
        regional: the adapters attend region by region.
        isolated_token: SAM's own tokens and the image tokens do not attend to the SAMA token, so that SAM's mask is
            untouched by it; False concatenates it plainly.
        head_channels: widths of the heads.
        detail_channels: of the picture's own shallow features in the heads (not in the paper); 0 for none.
        head_polish: further 3×3 convolutions of a head at its last resolution.
        guided_radius: radius, at the heads' resolution, of a guided filter that carries stock SAM's mask to the
            picture's edges; the heads see its result and, with `residual`, correct it. 0 for none. Not in the paper:
            with a few thousand photos to learn from, heads that begin at the picture's edges get further.
        mask_prior: the heads also see stock SAM's mask and the clicks as maps (after Matting Anything's head).
        residual: the heads' logits are added to stock SAM's (HQ-SAM does so).
        fine_views: local views are cut from the photo at twice the model's resolution; False enlarges the quadrants
            of the model input itself (the paper's words).
    """

    mvle: bool = True
    adapter: bool = True
    local_dim: int = 256
    inner_dim: int = 256
    heads: int = 8
    pools: tuple[int, ...] = (4, 8, 16)
    mvle_ffn_dim: int = 512
    adapter_ffn_dim: int = 512
    regional: bool = True
    isolated_token: bool = True
    head_channels: tuple[int, ...] = (128, 64)
    head_polish: int = 0
    detail_channels: int = 0
    guided_radius: int = 0
    mask_prior: bool = False
    residual: bool = False
    fine_views: bool = True

    @property
    def grid(self) -> int:
        """Side of the heads' maps, R."""
        return 128 * 2 ** len(self.head_channels)


#: Of the bundled model: narrow enough for a CPU, and with the picture and the mask in reach of the heads.
LITE = SamaConfig(
    local_dim=64,
    inner_dim=64,
    heads=1,
    mvle_ffn_dim=128,
    adapter_ffn_dim=128,
    head_channels=(48, 32),
    head_polish=1,
    detail_channels=16,
    guided_radius=16,
    mask_prior=True,
    residual=True,
)
