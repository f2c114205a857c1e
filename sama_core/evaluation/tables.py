"""The paper's Tables 1 to 5 as Markdown: its figures, and beneath them those measured here, empty where there are none.

Measurements lie in OUT/VARIANT/SET.jsonl, as `datasets_run` writes them: the tables show whatever is there, and each
ablation of Tables 3 to 5 is measured by a run of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from sama_core.evaluation import paper_tables as paper
from sama_core.evaluation import saliency
from sama_core.evaluation.datasets_run import CLICKS, SEEDS, SETS, read_label, read_rows
from sama_core.evaluation.variants import VARIANTS, Modules

_TE = ("DIS-TE1", "DIS-TE2", "DIS-TE3", "DIS-TE4")
_TE_ALL = "DIS-TE (all)"
_SALIENCY_HEADING = "Fmax Fw MAE S E"
_ERRORS = ("sad", "mse", "mad", "grad", "conn")


@dataclass(frozen=True)
class Measured:
    """What one variant of a model was measured to do.

    Attributes:
        model: how the tables name it; empty where the variant was not measured.
        rows: set -> a row of each picture.
    """

    model: str = ""
    rows: dict[str, list[dict]] = field(default_factory=dict)

    def pictures(self, name: str, key: str) -> list:
        """List the `key` entries of a set's rows, without the pictures that were skipped."""
        return [row[key] for row in self.rows.get(name, ()) if key in row]


def read_measured(out: Path) -> dict[str, Measured]:
    """Read what was measured under `out`: variant -> measurements."""
    measured = {}
    for variant in VARIANTS:
        model = read_label(out / variant)
        if model is not None:
            rows = {benchmark.name: read_rows(out / variant / f"{benchmark.name}.jsonl") for benchmark in SETS}
            measured[variant] = Measured(model, rows)
    return measured


def render(measured: Mapping[str, Measured]) -> str:
    """Set the five tables, the paper's Figure 2, and the measures that the paper does not print.

    Args:
        measured: variant of `VARIANTS` -> its measurements.
    """
    whole = measured.get("sama", Measured())
    sections = [
        f"Rows in italics were measured here; all others are the figures of {paper.TITLE}.",
        _table_1(whole),
        _figure_2(whole),
        _table_2(whole),
        _table_3(measured),
        _table_4(measured),
        _table_5(measured),
        *(section for variant, one in measured.items() for section in _beside(variant, one)),
    ]
    return "\n\n".join(section for section in sections if section)


def _table_1(one: Measured) -> str:
    lines = [[method, *(_saliency(row[name]) for name in paper.DIS_SETS)] for method, row in paper.TABLE_1.items()]
    lines.append([_ours(one), *(_measured_saliency(one, name) for name in paper.DIS_SETS)])
    heading = ["", *(f"{name}: {_SALIENCY_HEADING}" for name in paper.DIS_SETS)]
    return _section("Table 1. DIS-5K, box prompts", heading, lines, _share([one], ("DIS-VD", *_TE)))


def _figure_2(one: Measured) -> str:
    cells = []
    for count in CLICKS:
        ious = [np.mean(clicks[str(count)]) for clicks in one.pictures("COIFT", "click_ious")]
        cells.append(f"{np.mean(ious):.3f}" if ious else "")
    heading = ["", *(f"{count} click{'s' if count > 1 else ''}" for count in CLICKS)]
    lines = [["SAMA (a plot, without figures)", *[""] * len(CLICKS)], [_ours(one), *cells]]
    title = f"Figure 2. COIFT, include clicks drawn uniformly, mean IoU over {SEEDS} draws"
    return _section(title, heading, lines, _share([one], ("COIFT",)))


def _table_2(one: Measured) -> str:
    names = ("Composition-1K", "Distinctions-646")
    lines = [
        [f"{method}{' (trimap)' if method in paper.WITH_TRIMAP else ''}", *(_matting(row[name]) for name in names)]
        for method, row in paper.TABLE_2.items()
    ]
    for region, words in (("whole", "whole picture"), ("unknown", "unknown region")):
        cells = (_measured_matting(one, name, region, 1000) for name in names)
        lines.append([_ours(one, words), *cells])
    note = (
        "The paper does not say over which region; rows with a trimap are very probably of the unknown region, the "
        "others of the whole picture."
    )
    heading = ["", *(f"{name}: SAD, MSE×10³" for name in names)]
    return _section("Table 2. Matting", heading, lines, _share([one], names), note)


def _table_3(measured: Mapping[str, Measured]) -> str:
    lines = []
    for modules, figures in paper.TABLE_3.items():
        one = _of_row(measured, "modules", modules)
        lines.append([_tick(modules.mvle), _tick(modules.adapter), "paper", _saliency(figures)])
        lines.append([_tick(modules.mvle), _tick(modules.adapter), _ours(one), _measured_saliency(one, "DIS-VD")])
    heading = ["MVLE", "Local-Adapter", "", f"DIS-VD: {_SALIENCY_HEADING}"]
    share = _share(measured.values(), ("DIS-VD",))
    return _section("Table 3. What the modules do to segmentation", heading, lines, share)


def _table_4(measured: Mapping[str, Measured]) -> str:
    names = ("AM-2K", "P3M-500-P", "P3M-500-NP")
    lines = []
    for modules, row in paper.TABLE_4.items():
        one = _of_row(measured, "modules", modules)
        ticks = [_tick(modules.mvle), _tick(modules.adapter)]
        lines.append([*ticks, "paper", _matting(row["AM-2K"]), _matting(row["P3M-500"]), "", ""])
        am2k, p, np_ = (_measured_matting(one, name, "whole", 1) for name in names)
        lines.append([*ticks, _ours(one), am2k, "", p, np_])
    heading = ["MVLE", "Local-Adapter", ""]
    heading += [f"{name}: SAD, MSE" for name in ("AM-2K", "P3M-500 (-P or -NP)", *names[1:])]
    share = _share(measured.values(), names)
    note = "The paper does not say which of the two halves of P3M-500 it means."
    return _section("Table 4. What the modules do to matting, whole picture", heading, lines, share, note)


def _table_5(measured: Mapping[str, Measured]) -> str:
    lines = []
    for tasks, (selection, matte) in paper.TABLE_5.items():
        one = _of_row(measured, "tasks", tasks)
        lines.append([tasks, "paper", _saliency(selection), _matting(matte)])
        cells = _measured_saliency(one, "DIS-VD"), _measured_matting(one, "RefMatte-RW100", "whole", 1)
        lines.append([tasks, _ours(one), *cells])
    heading = ["trained on", "", f"DIS-VD: {_SALIENCY_HEADING}", "RefMatte-RW100: SAD, MSE"]
    share = _share(measured.values(), ("DIS-VD", "RefMatte-RW100"))
    return _section("Table 5. One task and both, whole picture", heading, lines, share)


def _beside(variant: str, one: Measured) -> Iterable[str]:
    """Set the measures that the paper does not print, of the sets that were measured."""
    selections = []
    for benchmark in SETS:
        pictures = one.pictures(benchmark.name, "saliency")
        if pictures:
            overlap = [np.mean(one.pictures(benchmark.name, key)) for key in ("iou", "boundary_iou")]
            adaptive = np.mean([picture["e_adaptive"] for picture in pictures])
            selections.append([benchmark.name, str(len(pictures)), *(f"{v:.3f}" for v in (*overlap, adaptive))])
    if selections:
        heading = ["", "pictures", "mIoU", "boundary IoU", "E (adaptive)"]
        yield _section(f"{_ours(one)}, {variant}: selections, further measures", heading, selections)
    mattes = []
    for benchmark in SETS:
        for region in ("whole", "unknown"):
            pictures = one.pictures(benchmark.name, region)
            if pictures:
                means = [np.mean([picture[key] for picture in pictures]) for key in _ERRORS]
                mattes.append([benchmark.name, region, str(len(pictures)), *(f"{value:.4g}" for value in means)])
    if mattes:
        heading = ["", "region", "pictures", "SAD", "MSE", "MAD", "Grad", "Conn"]
        yield _section(f"{_ours(one)}, {variant}: mattes, further measures", heading, mattes)


def _of_row(measured: Mapping[str, Measured], ablation: Literal["modules", "tasks"], row: Modules | str) -> Measured:
    names = (name for name, variant in VARIANTS.items() if getattr(variant, ablation) == row)
    return next((measured[name] for name in names if name in measured), Measured())


def _measured_saliency(one: Measured, name: str) -> str:
    """Format the summary of a set; of all test sets together only where all four were measured."""
    parts = [one.pictures(part, "saliency") for part in (_TE if name == _TE_ALL else (name,))]
    if not all(parts):
        return ""
    summary = saliency.summarise([saliency.PictureSaliency(**picture) for part in parts for picture in part])
    return _saliency(paper.Saliency(summary.f_max, summary.f_weighted, summary.mae, summary.s, summary.e_mean))


def _measured_matting(one: Measured, name: str, region: str, mse_scale: int) -> str:
    pictures = one.pictures(name, region)
    if not pictures:
        return ""
    sad, mse = (np.mean([picture[key] for picture in pictures]) for key in ("sad", "mse"))
    return f"{sad:.2f}, {mse * mse_scale:.3g}"


def _saliency(figures: paper.Saliency) -> str:
    return " ".join(f"{figure:.3f}" for figure in figures)


def _matting(figures: paper.Matting) -> str:
    return f"{figures.sad:g}, {figures.mse:g}"


def _tick(there: bool) -> str:
    return "✓" if there else "–"


def _ours(one: Measured, detail: str = "") -> str:
    return f"*{', '.join(word for word in (one.model or 'not measured', detail) if word)}*"


def _share(measured: Collection[Measured], names: Sequence[str]) -> str:
    """Say of how many pictures the measured figures are: a part of a set must not pass for the whole."""
    shares = []
    for benchmark in SETS:
        rows = (one.rows.get(benchmark.name, []) for one in measured)
        counts = sorted({sum("skipped" not in row for row in each) for each in rows} - {0})
        if benchmark.name in names and counts:
            of = f" of {benchmark.pictures}" if benchmark.pictures else ""
            shares.append(f"{benchmark.name} {' or '.join(map(str, counts))}{of}")
    skipped = sum("skipped" in row for one in measured for name in names for row in one.rows.get(name, ()))
    if skipped:
        shares.append(f"{skipped} left out, for their truth is empty")
    return f"Pictures measured: {', '.join(shares)}." if shares else ""


def _section(title: str, heading: Sequence[str], lines: Iterable[Sequence[str]], *notes: str) -> str:
    rows = [heading, ["---"] * len(heading), *lines]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return "\n\n".join([f"### {title}", table, *(note for note in notes if note)])
