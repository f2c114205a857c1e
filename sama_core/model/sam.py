"""SAM with an exchangeable backbone and decoder; the prompt encoder is `segment_anything`'s own module.

`segment_anything`'s `MaskDecoder.predict_masks` decodes many prompts of one image. Training has one prompt for each of
many images, so `decode` builds the tokens itself; for one image it computes what `predict_masks` computes (tested).
"""

from __future__ import annotations

import torch
from torch import nn

from sama_core.model.backbones.base import EMBED_DIM, GRID, Backbone, Features
from sama_core.model.mask_decoder import Decoded, MaskDecoder
from sama_core.model.prompt_maps import PromptMaps
from sama_core.model.prompt_mixer import PromptMixer
from sama_core.model.stock_sam import PromptEncoder
from sama_core.prompts import PAD


class PromptableSam(nn.Module):
    """A SAM: backbone, prompt encoder and mask decoder (Kirillov et al. 2023, section 3).

    Args:
        backbone: the image encoder.
        prompt_maps: also draws clicks and boxes into the dense prompt; None is SAM as published.
        mixer: convolutions over image and dense prompt ahead of the decoder; None is SAM as published.
        mask_decoder: of the family; None is the one of SAM as published, new.
    """

    #: Whether a picture is stretched to the whole square of the model input, or keeps its shape, with padding.
    stretches = False

    def __init__(
        self,
        backbone: Backbone,
        prompt_maps: PromptMaps | None = None,
        mixer: PromptMixer | None = None,
        mask_decoder: MaskDecoder | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.prompt_maps = prompt_maps
        self.mixer = mixer
        self.prompt_encoder = PromptEncoder(
            embed_dim=EMBED_DIM,
            image_embedding_size=(GRID, GRID),
            input_image_size=(backbone.input_size, backbone.input_size),
            mask_in_chans=16,
        )
        self.mask_decoder = mask_decoder or MaskDecoder()

    @property
    def input_size(self) -> int:
        """Side of the square model input, pixels."""
        return self.backbone.input_size

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map B×3×h×w sRGB 0..255 to the backbone's input range and pad right and bottom to S×S with zeros."""
        h, w = pixels.shape[-2:]
        return nn.functional.pad(self.standardise(pixels), (0, self.input_size - w, 0, self.input_size - h))

    def standardise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map …×3×h×w sRGB 0..255 to the backbone's input range."""
        mean = pixels.new_tensor(self.backbone.pixel_mean).view(3, 1, 1)
        std = pixels.new_tensor(self.backbone.pixel_std).view(3, 1, 1)
        return (pixels - mean) / std

    def encode(self, x: torch.Tensor) -> Features:
        """Encode normalised and padded B×3×S×S input."""
        return self.backbone(x)

    def embed_prompts(
        self, points: torch.Tensor, labels: torch.Tensor, mask_logits: torch.Tensor, has_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed one prompt for each image of a batch.

        Args:
            points: B×N×2 float, (x, y) in model-input pixels.
            labels: B×N int64 as in `labels.py`. SAM expects a PAD token when there is no box.
            mask_logits: B×1×256×256 float; ignored where `has_mask` is false.
            has_mask: B bool.

        Returns:
            sparse B×N×256 and dense B×256×64×64 embeddings.
        """
        encoder = self.prompt_encoder
        size = encoder.input_image_size
        sparse = encoder.pe_layer.forward_with_coords(points, size)
        known = (labels != PAD).unsqueeze(-1).to(sparse.dtype)
        sparse = sparse * known + encoder.not_a_point_embed.weight * (1 - known)
        for label, embedding in enumerate(encoder.point_embeddings):
            assert isinstance(embedding, nn.Embedding)
            sparse = sparse + embedding.weight * (labels == label).unsqueeze(-1).to(sparse.dtype)
        gate = has_mask.view(-1, 1, 1, 1)
        dense = encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand(len(points), -1, GRID, GRID)
        if bool(has_mask.any()):
            dense = torch.where(gate, encoder.mask_downscaling(mask_logits), dense)
        if self.prompt_maps is not None:
            dense = dense + self.prompt_maps(points, labels, self.input_size)
        return sparse, dense

    def condition(self, embedding: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        """The decoder's image tokens as a map: the image embedding with the dense prompt, B×256×64×64 both."""
        image = embedding + dense
        return image if self.mixer is None else self.mixer(image)

    def dense_pe(self, grid: int = GRID) -> torch.Tensor:
        """Positional encodings of the cells of a grid×grid map over the model input: 1×256×grid×grid."""
        return self.prompt_encoder.pe_layer((grid, grid)).unsqueeze(0)

    def decode(
        self,
        embedding: torch.Tensor,
        sparse: torch.Tensor,
        dense: torch.Tensor,
        high_res: tuple[torch.Tensor, ...] = (),
    ) -> Decoded:
        """Decode one prompt for each image.

        Args:
            embedding, high_res: of the image's `Features`.
            sparse: B×N×256, dense: B×256×64×64, as `embed_prompts` gives them.
        """
        decoder = self.mask_decoder
        output_tokens = decoder.output_tokens().expand(len(embedding), -1, -1)
        position = self.dense_pe().expand(len(embedding), -1, -1, -1)
        hidden, image = decoder.transformer(
            self.condition(embedding, dense), position, torch.cat([output_tokens, sparse], dim=1)
        )
        return decoder.answer(hidden, image, high_res)
