"""Pictures to look at: cut-outs over green, side by side with captions."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GREEN = (0, 170, 60)
_CAPTION = 18


def over_green(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay a photo (H×W×3 uint8) cut out by `alpha` (H×W uint8) over green: H×W×3 uint8."""
    share = alpha[..., None].astype(np.float32) / 255
    return np.rint(rgb * share + np.array(GREEN, np.float32) * (1 - share)).astype(np.uint8)


def with_clicks(rgb: np.ndarray, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
    """Draw clicks on a photo (H×W×3 uint8): white for include, red for exclude."""
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    radius = max(3, max(picture.size) // 80)
    for (x, y), label in zip(points, labels, strict=True):
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill="white" if label else "red", outline="black", width=max(1, radius // 3))
    return np.asarray(picture)


def contact_sheet(cells: dict[str, np.ndarray], columns: int, width: int) -> Image.Image:
    """Lay pictures of one size out in rows, each under its caption.

    Args:
        cells: H×W×3 uint8 by caption.
        width: of a picture on the sheet, pixels.
    """
    height = max(1, round(width * next(iter(cells.values())).shape[0] / next(iter(cells.values())).shape[1]))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + _CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for number, (caption, picture) in enumerate(cells.items()):
        x, y = number % columns * width, number // columns * (height + _CAPTION)
        draw.text((x + 3, y + 2), caption, fill="black", font=font)
        sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), (x, y + _CAPTION))
    return sheet
