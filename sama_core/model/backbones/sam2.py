"""SAM 2.1 for single pictures (Ravi et al. 2024, "SAM 2: Segment Anything in Images and Videos").

The trunk is timm's Hiera, the prompt encoder and the body of the mask decoder are `segment_anything`'s, which SAM 2
took over; what SAM 2 adds for a picture is here: the neck, high-resolution features in the decoder, and a token that
tells whether there is anything at all. The memory that follows an object through a video is left out. Masks are those
of the makers' own image predictor (tested).
"""

from __future__ import annotations

import timm
import torch
import torch.nn.functional as F
from timm.models.hieradet_sam2 import HieraDet
from torch import nn

from sama_core.model.backbones.base import EMBED_DIM, Features
from sama_core.model.mask_decoder import Decoded, MaskDecoder
from sama_core.model.sam import PromptableSam
from sama_core.model.stock_sam import MLP
from sama_core.prompts import PAD

#: A mask is stable when its area changes by less than this between thresholds `_DELTA` above and below zero; one that
#: is not gives way to the best of the three alternatives. The makers' values for pictures.
_STABLE, _DELTA = 0.98, 0.05
#: Logits are cut off here, as the makers' image predictor hands them on.
_LARGEST_LOGIT = 32.0


class Sam2Backbone(nn.Module):
    """SAM 2's image encoder: Hiera (Ryali et al. 2023), read at strides 4 to 32, and a neck to 256 channels.

    The embedding is the stride-16 map with the coarsest one added; the maps at strides 4 and 8 are for the decoder.
    The early feature is the output of the first block with global attention, on the same 64×64 grid, as for SAM's own
    ViTs (HQ-SAM, Ke et al. 2023): 384, 384, 448, 576 channels for tiny, small, base_plus and large.

    Args:
        trunk: name of timm's model.
    """

    input_size = 1024
    pixel_mean = (123.675, 116.28, 103.53)
    pixel_std = (58.395, 57.12, 57.375)

    def __init__(self, trunk: str) -> None:
        super().__init__()
        hiera = timm.create_model(trunk, pretrained=False, num_classes=0)
        assert isinstance(hiera, HieraDet)
        hiera.reset_classifier(0, reset_other=True)
        self.trunk = hiera
        self.early_block = hiera.global_att_blocks[0]
        widths = [hiera.blocks[end].dim_out for end in hiera.stage_ends]
        self.early_channels = int(hiera.blocks[self.early_block].dim_out)  # type: ignore[arg-type]
        # from the coarsest map to the finest, as the makers number them
        self.neck = nn.ModuleList(nn.Conv2d(width, EMBED_DIM, 1) for width in reversed(widths))  # type: ignore[arg-type]
        # a picture is a video of one frame, which has no memory
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, EMBED_DIM))

    def forward(self, x: torch.Tensor) -> Features:
        """Encode B×3×1024×1024 to `Features`; high_res are the neck's B×256×256×256 and B×256×128×128."""
        taken = sorted({*self.trunk.stage_ends, self.early_block})
        maps = self.trunk.forward_intermediates(x, indices=taken, coarse=False, intermediates_only=True)
        assert isinstance(maps, list)
        by_block = dict(zip(taken, maps, strict=True))
        coarse, medium, fine, finest = (
            layer(by_block[end]) for layer, end in zip(self.neck, reversed(self.trunk.stage_ends), strict=True)
        )
        embedding = medium + F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        embedding = embedding + self.no_mem_embed.view(1, -1, 1, 1)
        return Features(embedding, by_block[self.early_block], (finest, fine))


class Sam2MaskDecoder(MaskDecoder):
    """SAM's decoder with SAM 2's additions (section 4 and appendix D of its paper); the keys are the makers' own."""

    # the token that tells whether there is an object goes ahead
    _IOU_TOKEN = 1

    def __init__(self) -> None:
        super().__init__()
        self.obj_score_token = nn.Embedding(1, EMBED_DIM)
        self.pred_obj_score_head = MLP(EMBED_DIM, EMBED_DIM, 1, 3)
        self.conv_s0 = nn.Conv2d(EMBED_DIM, EMBED_DIM // 8, 1)
        self.conv_s1 = nn.Conv2d(EMBED_DIM, EMBED_DIM // 4, 1)

    def output_tokens(self) -> torch.Tensor:
        """The object-score token, the IoU token and the mask tokens: 6×256."""
        return torch.cat([self.obj_score_token.weight, super().output_tokens()])

    def narrow(self, high_res: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Bring the neck's fine maps to the widths at which `upscale` adds them: B×32×256×256 and B×64×128×128.

        They depend on the picture alone, and are kept with its embedding.
        """
        finest, fine = high_res
        return self.conv_s0(finest), self.conv_s1(fine)

    def upscale(self, image: torch.Tensor, high_res: tuple[torch.Tensor, ...] = ()) -> torch.Tensor:
        """As SAM's, with the picture's fine maps added on the way."""
        finest, fine = high_res
        first, norm, activation, second, last = self.output_upscaling
        return last(second(activation(norm(first(image) + fine))) + finest)

    def answer(self, hidden: torch.Tensor, image: torch.Tensor, high_res: tuple[torch.Tensor, ...] = ()) -> Decoded:
        """Masks with their scores; where the single mask is not stable, the best of the alternatives is the answer."""
        logits = self.masks(hidden, image, high_res)
        iou = torch.sigmoid(self.iou_prediction_head(hidden[:, self._IOU_TOKEN]))
        presence = torch.sigmoid(self.pred_obj_score_head(hidden[:, 0]))[:, 0]
        single = logits[:, 0].flatten(1)
        inner, outer = (single > _DELTA).sum(1).float(), (single > -_DELTA).sum(1).float()
        stable = inner >= _STABLE * outer
        best = torch.where(stable, 0, 1 + iou[:, 1:].argmax(1))
        row = torch.arange(len(best), device=best.device)
        logits = torch.cat([logits[row, best].unsqueeze(1), logits[:, 1:]], dim=1)
        iou = torch.cat([iou[row, best].unsqueeze(1), iou[:, 1:]], dim=1)
        return Decoded(logits.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT), iou, presence)


class Sam2(PromptableSam):
    """A SAM 2 that looks at single pictures."""

    # it has learned from pictures that fill the square
    stretches = True
    mask_decoder: Sam2MaskDecoder

    def __init__(self, backbone: Sam2Backbone) -> None:
        super().__init__(backbone, mask_decoder=Sam2MaskDecoder())

    def encode(self, x: torch.Tensor) -> Features:
        """Encode normalised B×3×1024×1024 input."""
        features = super().encode(x)
        return features._replace(high_res=self.mask_decoder.narrow(features.high_res))

    def embed_prompts(
        self, points: torch.Tensor, labels: torch.Tensor, mask_logits: torch.Tensor, has_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As of `PromptableSam`. SAM 2 expects a PAD token with a box too, so that there is always one more token than
        clicks and corners."""
        if bool((labels != PAD).all(1).any()):
            points = F.pad(points, (0, 0, 0, 1))
            labels = F.pad(labels, (0, 1), value=PAD)
        return super().embed_prompts(points, labels, mask_logits, has_mask)


def build_sam2(size: str) -> Sam2:
    """Build SAM 2.1 `tiny`, `small`, `base_plus` or `large` with random weights; cheap under `torch.device("meta")`."""
    return Sam2(Sam2Backbone(f"sam2_hiera_{size}"))
