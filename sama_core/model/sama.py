"""SAMA on a frozen SAM: "Segment and Matte Anything in a Unified Model" (AAAI 2026).

`Sama` = `PromptableSam` (frozen) + `SamaModules` (trained; an adapter file holds exactly these).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from sama_core.images import LOW_RES
from sama_core.model.backbones.base import EMBED_DIM, GRID, Features
from sama_core.model.guided_filter import GuidedFilter
from sama_core.model.heads import DetailBranch, Head, fold
from sama_core.model.local_adapter import LocalAdapter
from sama_core.model.mask_decoder import DECODER_LAYERS
from sama_core.model.mvle import Mvle
from sama_core.model.prompt_maps import draw
from sama_core.model.sam import PromptableSam
from sama_core.model.sama_config import SamaConfig
from sama_core.model.views import QUADRANTS, quarter, stand_in, tile, to_maps, to_tokens

Task = Literal["segmentation", "matting"]
TASKS: tuple[Task, ...] = ("segmentation", "matting")

#: Stock masks are sharpened before the guided filter spreads them along edges, and its result is steepened; chosen on
#: photos with known alpha.
_SHARPER, _STEEPER, _GUIDE_EPSILON = 3.0, 2.0, 1e-5
#: A start has a logit only away from 0 and 1.
_LEAST = 0.004
#: Stock logits are squashed before a head sees them: their size says little beyond this.
_PRIOR_SCALE = 4.0
#: The whole 128×128 feature grid as a window of it, and how many of its cells around a window its logits depend on.
_WHOLE = (slice(0, 2 * GRID), slice(0, 2 * GRID))
_MARGIN = 4


class ViewFeatures(NamedTuple):
    """What the frozen encoder gives for the five views of a picture.

    Attributes:
        embedding: B×256×64×64, of the global view.
        local: B×4×256×64×64, of the local views.
        local_early: B×4×C×64×64, early features of the local views.
        high_res: of the global view, as `Features.high_res`.
    """

    embedding: torch.Tensor
    local: torch.Tensor
    local_early: torch.Tensor
    high_res: tuple[torch.Tensor, ...] = ()


class Seen(NamedTuple):
    """All that prompts need of a picture, whatever they ask.

    Attributes:
        embedding: B×256×64×64, of the global view.
        local: local tokens B×4×4096×local_dim, or None (`Sama.local_tokens`).
        detail: shallow features of the fine picture, B×detail_channels×S×S, or None.
        edges: the guided filter of the picture at the heads' resolution, or None.
    """

    embedding: torch.Tensor
    local: torch.Tensor | None
    detail: torch.Tensor | None
    edges: GuidedFilter | None


class SamaDecoded(NamedTuple):
    """Output of the SAMA decoder.

    Attributes:
        logits: B×1×R×R, of the task's head; R = 128·2^stages.
        hidden: B×T×256 tokens after the decoder, SAM's own first.
        image: B×4096×256 image tokens F'_out after the last adapter.
    """

    logits: torch.Tensor
    hidden: torch.Tensor
    image: torch.Tensor


class SamaModules(nn.Module):
    """All that is trained: MVLE, early-feature projection, two Local-Adapters, two tokens, two heads.

    Args:
        config: sizes and switches.
        early_channels: of the backbone's early features.
    """

    def __init__(self, config: SamaConfig, early_channels: int) -> None:
        super().__init__()
        self.config = config
        c = config
        self.mvle = Mvle(EMBED_DIM, c.local_dim, c.inner_dim, c.heads, c.pools, c.mvle_ffn_dim) if c.mvle else None
        uses_early = c.adapter
        self.early = (
            nn.Sequential(nn.Linear(early_channels, c.local_dim), nn.LayerNorm(c.local_dim)) if uses_early else None
        )
        self.adapters = nn.ModuleList(
            LocalAdapter(EMBED_DIM, c.local_dim, c.inner_dim, c.heads, c.adapter_ffn_dim, c.regional)
            for _ in range(DECODER_LAYERS if c.adapter else 0)
        )
        same = c.local_dim == EMBED_DIM
        self.place = nn.Identity() if same or not c.adapter else nn.Linear(EMBED_DIM, c.local_dim)
        self.local_norm = nn.LayerNorm(c.local_dim) if c.mvle or c.adapter else None
        self.image_norm = nn.LayerNorm(EMBED_DIM)
        self.narrow = nn.Identity() if same else nn.Linear(EMBED_DIM, c.local_dim)
        self.tokens = nn.ParameterDict(
            {task: nn.Parameter(nn.init.normal_(torch.empty(EMBED_DIM), std=0.02)) for task in TASKS}
        )
        self.detail = DetailBranch(c.detail_channels) if c.detail_channels else None
        self.heads = nn.ModuleDict(
            {
                task: Head(
                    EMBED_DIM,
                    c.local_dim,
                    c.head_channels,
                    3 if c.mask_prior else 0,
                    c.detail_channels + bool(c.guided_radius),
                    c.head_polish,
                )
                for task in TASKS
            }
        )
        if c.residual:
            for head in self.heads.values():
                assert isinstance(head, Head)
                last = head.token_mlp[-1]
                assert isinstance(last, nn.Linear)
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)


class Sama(nn.Module):
    """A frozen SAM with SAMA modules.

    Args:
        sam: the stock model; its parameters are frozen here.
        modules: the SAMA modules.
    """

    def __init__(self, sam: PromptableSam, modules: SamaModules) -> None:
        super().__init__()
        self.sam = sam.requires_grad_(False)
        self.sama = modules

    @property
    def config(self) -> SamaConfig:
        """Of the SAMA modules."""
        return self.sama.config

    def train(self, mode: bool = True) -> Sama:
        """Switch the SAMA modules; the frozen SAM always stays in evaluation mode."""
        super().train(mode)
        self.sam.eval()
        return self

    def encode(
        self,
        x: torch.Tensor,
        fine: torch.Tensor,
        reached: tuple[bool, ...] = (True,) * QUADRANTS,
        chunk: int = QUADRANTS + 1,
    ) -> ViewFeatures:
        """Encode the five views with the one frozen encoder.

        Args:
            x: B×3×S×S normalised and padded model input, the global view.
            fine: B×3×2S×2S normalised and padded fine picture, whose quadrants are the local views.
            reached: which quadrants are encoded; the others are seen through the global view.
            chunk: views of each picture that share one batch; 1 needs the least memory.
        """
        local = quarter(fine)
        wanted = [m for m in range(QUADRANTS) if reached[m]]
        overview, *encoded = self.encode_views([x, *(local[:, m] for m in wanted)], chunk)
        return assemble(overview, dict(zip(wanted, encoded, strict=True)))

    def encode_views(self, views: list[torch.Tensor], chunk: int = QUADRANTS + 1) -> list[Features]:
        """Encode views of B×3×S×S each, `chunk` of them in a batch, without gradients."""
        encoded: list[Features] = []
        with torch.no_grad():
            for start in range(0, len(views), chunk):
                group = views[start : start + chunk]
                features = self.sam.encode(torch.cat(group).contiguous(memory_format=torch.channels_last))
                encoded += features.split(len(group))
        return encoded

    def local_tokens(self, features: ViewFeatures) -> torch.Tensor | None:
        """Local tokens L = F'_P + F_early (Eq. 5-6), B×4×4096×local_dim: all that prompts need of the local views.

        None when the configuration has neither MVLE nor Local-Adapters.
        """
        modules = self.sama
        tokens = None if modules.mvle is None else modules.mvle(features.embedding, features.local)
        if modules.early is not None:
            early = modules.early(to_tokens(features.local_early))
            tokens = early if tokens is None else tokens + early
        return tokens

    def seen(self, embedding: torch.Tensor, local: torch.Tensor | None, fine: torch.Tensor | None) -> Seen:
        """What prompts need of a picture.

        Args:
            embedding: B×256×64×64.
            local: what `local_tokens` gave.
            fine: B×3×2S×2S normalised fine picture; needed with `detail_channels` or `guided_radius`.
        """
        modules, config = self.sama, self.config
        detail = edges = None
        if modules.detail is not None:
            assert fine is not None
            detail = modules.detail(fine)
        if config.guided_radius:
            assert fine is not None
            edges = edges_of(fine, config.grid, config.guided_radius)
        return Seen(embedding, local, detail, edges)

    def decode(
        self,
        task: Task,
        embedding: torch.Tensor,
        local: torch.Tensor | None,
        sparse: torch.Tensor,
        dense: torch.Tensor,
        stock_logits: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        fine: torch.Tensor | None = None,
    ) -> SamaDecoded:
        """Answer one prompt for each picture, from `seen`'s arguments and `answer`'s."""
        seen = self.seen(embedding, local, fine)
        return self.answer(task, seen, sparse, dense, stock_logits, points, labels)

    def answer(
        self,
        task: Task,
        seen: Seen,
        sparse: torch.Tensor,
        dense: torch.Tensor,
        stock_logits: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        window: tuple[slice, slice] = _WHOLE,
    ) -> SamaDecoded:
        """Answer one prompt for each picture.

        Args:
            task: whose token and head answer.
            seen: the pictures.
            sparse, dense: what `PromptableSam.embed_prompts` gave.
            stock_logits: B×1×256×256, stock SAM's answer to the same prompt; needed with `residual` or `mask_prior`.
            points, labels: the prompt itself in model-input pixels; needed with `mask_prior`.
            window: rows and columns of the 128×128 feature grid where the head answers; its logits are those of the
                whole there, and say nothing is there (−5.5) elsewhere.
        """
        hidden, image, local = self._transform(task, seen.embedding, seen.local, sparse, dense)
        modules, config = self.sama, self.config
        outer = _grown(window, _MARGIN)
        features = modules.narrow(modules.image_norm(image)).transpose(1, 2).unflatten(2, (GRID, GRID))
        features = _part(F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False), outer)
        if local is not None:
            assert modules.local_norm is not None
            features = features + _part(tile(to_maps(modules.local_norm(local))), outer)
        prior = None
        if config.mask_prior:
            assert stock_logits is not None and points is not None and labels is not None
            clicks = draw(points * (LOW_RES / self.sam.input_size), labels)[:, :2]
            prior = torch.cat([torch.tanh(stock_logits / _PRIOR_SCALE), clicks.to(stock_logits.dtype)], dim=1)
            prior = _part(prior, outer)
        side = config.grid
        details = []
        if seen.detail is not None:
            detail = seen.detail
            if detail.shape[-1] != side:
                detail = F.interpolate(detail, size=(side, side), mode="bilinear", align_corners=False)
            details.append(_part(detail, outer))
        start = None
        if config.residual or config.guided_radius:
            assert stock_logits is not None
            start = F.interpolate(stock_logits.float(), size=side, mode="bilinear", align_corners=False)
            if seen.edges is not None:
                guided = _followed(seen.edges, start, _scaled(outer, side // (2 * GRID)))
                details.append(2 * guided - 1)
                start = torch.logit(guided)
            else:
                start = _part(start, outer)
        head = modules.heads[task]
        logits = head(features, hidden[:, self.sam.mask_decoder.num_output_tokens], prior, details).float()
        if config.residual and start is not None:
            logits = logits + start
        return SamaDecoded(_placed(logits, outer, window), hidden, image)

    def sam_logits(self, decoded: SamaDecoded, high_res: tuple[torch.Tensor, ...] = ()) -> torch.Tensor:
        """What SAM's own mask tokens say after the adapters: B×4×256×256. An untrained SAMA gives stock SAM's masks.

        Args:
            high_res: of the picture's `Features`.
        """
        return self.sam.mask_decoder.masks(decoded.hidden, decoded.image, high_res)

    def _transform(
        self,
        task: Task,
        embedding: torch.Tensor,
        local: torch.Tensor | None,
        sparse: torch.Tensor,
        dense: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Decoder layer 1, adapter 1, decoder layer 2, adapter 2, final attention (paper Fig. 1)."""
        sam, decoder = self.sam, self.sam.mask_decoder
        batch = len(embedding)
        own = decoder.output_tokens().expand(batch, -1, -1)
        token = self.sama.tokens[task].expand(batch, 1, -1)
        initial = torch.cat([own, token, sparse], dim=1)
        image = sam.condition(embedding, dense).flatten(2).transpose(1, 2)
        image_pe = sam.dense_pe().flatten(2).transpose(1, 2)
        local_pe = None
        if len(self.sama.adapters):
            assert local is not None
            # the local views' own places in the picture, on a grid of twice the resolution
            places = to_tokens(quarter(sam.dense_pe(2 * GRID)))
            local_pe = self.sama.place(places).expand(batch, -1, -1, -1)
        guest = decoder.num_output_tokens if self.config.isolated_token else None
        tokens = initial
        for number, layer in enumerate(decoder.decoder_layers):
            tokens, image = layer(tokens, image, initial, image_pe, guest)
            if len(self.sama.adapters):
                image, local = self.sama.adapters[number](image, local, image_pe.expand(batch, -1, -1), local_pe)
        return decoder.finish(tokens, image, initial, image_pe), image, local


def follow_edges(logits: torch.Tensor, fine: torch.Tensor, radius: int) -> torch.Tensor:
    """Carry a mask to the picture's edges by a guided filter.

    Args:
        logits: B×1×R×R of a mask.
        fine: B×3×h×w normalised fine picture, exactly 0 where it is padding.
        radius: of the filter, in cells of the logits.

    Returns:
        B×1×R×R float32 in 0.004..0.996.
    """
    return _followed(edges_of(fine, logits.shape[-1], radius), logits)


def edges_of(fine: torch.Tensor, side: int, radius: int) -> GuidedFilter:
    """The filter that carries `side` × `side` masks to a picture's edges; arguments as of `follow_edges`."""
    inside = F.adaptive_avg_pool2d((fine != 0).any(1, keepdim=True).float(), side).round()
    guide = F.adaptive_avg_pool2d(fine.float(), side) / 2
    return GuidedFilter(guide, inside, radius, _GUIDE_EPSILON)


def _followed(edges: GuidedFilter, logits: torch.Tensor, window: tuple[slice, slice] | None = None) -> torch.Tensor:
    filtered = edges(torch.sigmoid(_SHARPER * logits), window)
    return (_STEEPER * (filtered - 0.5) + 0.5).clamp(_LEAST, 1 - _LEAST)


def for_use(model: Sama) -> Sama:
    """A trained model in evaluation mode that computes the same with fewer steps; not to be trained further."""
    for head in model.sama.heads.values():
        assert isinstance(head, Head)
        fold(head)
    return model


def _grown(window: tuple[slice, slice], margin: int) -> tuple[slice, slice]:
    rows, columns = (slice(max(0, part.start - margin), min(2 * GRID, part.stop + margin)) for part in window)
    return rows, columns


def _scaled(window: tuple[slice, slice], factor: int) -> tuple[slice, slice]:
    rows, columns = (slice(factor * part.start, factor * part.stop) for part in window)
    return rows, columns


def _part(maps: torch.Tensor, window: tuple[slice, slice]) -> torch.Tensor:
    """The part of B×C×R×R maps that shows a window of the 128×128 grid."""
    rows, columns = _scaled(window, maps.shape[-1] // (2 * GRID))
    return maps[..., rows, columns]


def _placed(logits: torch.Tensor, outer: tuple[slice, slice], window: tuple[slice, slice]) -> torch.Tensor:
    """Logits of `outer` as those of the whole picture, taken where the window is."""
    if window == _WHOLE:
        return logits
    factor = logits.shape[-1] // (outer[1].stop - outer[1].start)
    side = 2 * GRID * factor
    whole = logits.new_full((*logits.shape[:2], side, side), math.log(_LEAST / (1 - _LEAST)))
    place = _scaled(window, factor)
    own = [slice(a.start - b.start, a.stop - b.start) for a, b in zip(place, _scaled(outer, factor), strict=True)]
    whole[..., place[0], place[1]] = logits[..., own[0], own[1]]
    return whole


def assemble(overview: Features, local: dict[int, Features]) -> ViewFeatures:
    """Gather the views of a picture; a quadrant that `local` lacks is seen through the global view."""
    if len(local) < QUADRANTS:
        embedding, early = stand_in(overview.embedding), stand_in(overview.early)
        local = {m: Features(embedding[:, m], early[:, m]) for m in range(QUADRANTS)} | local
    return ViewFeatures(
        overview.embedding,
        torch.stack([local[m].embedding for m in range(QUADRANTS)], dim=1),
        torch.stack([local[m].early for m in range(QUADRANTS)], dim=1),
        overview.high_res,
    )
