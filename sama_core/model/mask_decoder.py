"""SAM's mask decoder behind a small interface: all that the rest of the model knows of a family's decoder.

Tokens come in the order: the decoder's own output tokens, then what others add. `decoder_layers` and `finish` one
after the other are the decoder's transformer; `answer` reads masks and scores off what they give.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, Protocol

import torch

from sama_core.model.backbones.base import EMBED_DIM, GRID
from sama_core.model.stock_sam import MaskDecoder as StockDecoder
from sama_core.model.stock_sam import TwoWayAttentionBlock, TwoWayTransformer

#: Two-way blocks of the decoder; SAMA puts a Local-Adapter after each.
DECODER_LAYERS = 2


class Decoded(NamedTuple):
    """Output of the mask decoder.

    Attributes:
        logits: B×4×256×256 float; index 0 is the answer, 1-3 the alternatives for a single ambiguous click.
        iou: B×4 float, the decoder's own estimate of each mask's IoU.
        presence: B float, how likely there is something where the prompt points, 0..1; 1 from a decoder that does not
            say.
    """

    logits: torch.Tensor
    iou: torch.Tensor
    presence: torch.Tensor


class DecoderLayer(Protocol):
    """A two-way block: tokens attend to each other and to the image, and the image to them."""

    def __call__(
        self,
        tokens: torch.Tensor,
        image: torch.Tensor,
        token_pe: torch.Tensor,
        image_pe: torch.Tensor,
        guest: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pass B×T×256 tokens and B×4096×256 image tokens, each with its positional encodings, through the block.

        Args:
            guest: index of a token that sees all others and is seen by none.
        """
        ...


class MaskDecoder(StockDecoder):
    """`segment_anything`'s mask decoder (Kirillov et al. 2023, appendix A), and the interface that other families'
    decoders share. State-dict keys are the package's own."""

    #: Place of the IoU token among the output tokens; the mask tokens follow it.
    _IOU_TOKEN = 0

    def __init__(self) -> None:
        transformer = TwoWayTransformer(depth=DECODER_LAYERS, embedding_dim=EMBED_DIM, num_heads=8, mlp_dim=2048)
        super().__init__(transformer_dim=EMBED_DIM, transformer=transformer)

    @property
    def num_output_tokens(self) -> int:
        """How many tokens the decoder itself puts ahead of all others, T."""
        return self._IOU_TOKEN + 1 + self.num_mask_tokens

    def output_tokens(self) -> torch.Tensor:
        """The decoder's own tokens: T×256."""
        return torch.cat([self.iou_token.weight, self.mask_tokens.weight])

    @property
    def decoder_layers(self) -> list[DecoderLayer]:
        """The two-way blocks, in order."""
        return [functools.partial(_attend, block) for block in self._two_way.layers]  # type: ignore[arg-type]

    def finish(
        self, tokens: torch.Tensor, image: torch.Tensor, token_pe: torch.Tensor, image_pe: torch.Tensor
    ) -> torch.Tensor:
        """The last attention of tokens to the image, after all blocks; returns the tokens."""
        transformer = self._two_way
        attended = transformer.final_attn_token_to_image(q=tokens + token_pe, k=image + image_pe, v=image)
        return transformer.norm_final_attn(tokens + attended)

    def upscale(self, image: torch.Tensor, high_res: tuple[torch.Tensor, ...] = ()) -> torch.Tensor:
        """Bring B×256×64×64 image features to the masks' B×32×256×256.

        Args:
            high_res: `Features.high_res`, from backbones that have such.
        """
        return self.output_upscaling(image)

    def masks(self, hidden: torch.Tensor, image: torch.Tensor, high_res: tuple[torch.Tensor, ...] = ()) -> torch.Tensor:
        """What the mask tokens say: B×4×256×256 logits.

        Args:
            hidden: B×T'×256 tokens after the transformer, the decoder's own first.
            image: B×4096×256 image tokens after it.
            high_res: `Features.high_res`.
        """
        upscaled = self.upscale(image.transpose(1, 2).unflatten(2, (GRID, GRID)), high_res)
        first = self._IOU_TOKEN + 1
        hyper = torch.stack([mlp(hidden[:, first + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1)
        return (hyper @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])

    def answer(self, hidden: torch.Tensor, image: torch.Tensor, high_res: tuple[torch.Tensor, ...] = ()) -> Decoded:
        """Masks with their scores; arguments as of `masks`."""
        iou = self.iou_prediction_head(hidden[:, self._IOU_TOKEN])
        return Decoded(self.masks(hidden, image, high_res), iou, iou.new_ones(len(iou)))

    @property
    def _two_way(self) -> TwoWayTransformer:
        assert isinstance(self.transformer, TwoWayTransformer)
        return self.transformer


def _attend(
    layer: TwoWayAttentionBlock,
    tokens: torch.Tensor,
    image: torch.Tensor,
    token_pe: torch.Tensor,
    image_pe: torch.Tensor,
    guest: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    if guest is None:
        return layer(queries=tokens, keys=image, query_pe=token_pe, key_pe=image_pe)
    place = torch.arange(tokens.shape[1], device=tokens.device) != guest

    def hosts(x: torch.Tensor) -> torch.Tensor:
        return x[:, place]

    def join(others: torch.Tensor, one: torch.Tensor) -> torch.Tensor:
        return torch.cat([others[:, :guest], one, others[:, guest:]], dim=1)

    one = slice(guest, guest + 1)
    if layer.skip_first_layer_pe:
        query, value = tokens, tokens
    else:
        query, value = tokens + token_pe, tokens
    attended = join(
        layer.self_attn(q=hosts(query), k=hosts(query), v=hosts(value)),
        layer.self_attn(q=query[:, one], k=query, v=value),
    )
    # SAM's first layer replaces the tokens, the others add to them
    tokens = layer.norm1(attended if layer.skip_first_layer_pe else tokens + attended)
    tokens = layer.norm2(tokens + layer.cross_attn_token_to_image(q=tokens + token_pe, k=image + image_pe, v=image))
    tokens = layer.norm3(tokens + layer.mlp(tokens))
    seen = layer.cross_attn_image_to_token(q=image + image_pe, k=hosts(tokens) + hosts(token_pe), v=hosts(tokens))
    return tokens, layer.norm4(image + seen)
