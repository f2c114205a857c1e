"""Shapes with holes and thin parts, as annotated photos lack them: lattices, frames, wheels, twigs, chains."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

#: Lines are drawn with so many bits behind the point.
_BITS = 4


def draw_shape(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one of the shapes, seen from an angle, somewhere in a square.

    Args:
        size: side of the square, pixels.

    Returns:
        size×size float32 coverage, 0..1; what can be seen through the shape is 0.
    """
    side = size * float(np.exp(rng.uniform(np.log(0.3), np.log(1.0))))
    width = max(2, round(side * rng.uniform(0.012, 0.04)))
    canvas = np.zeros((size, size), np.uint8)
    place = _perspective(size, side, rng)
    kind = _KINDS[rng.integers(len(_KINDS))]
    for points, closed in kind(rng):
        # a polygon in the unit square
        seen = cv2.perspectiveTransform(points[None].astype(np.float32), place)[0]
        fixed = np.round(seen * 2**_BITS).astype(np.int32)
        cv2.polylines(canvas, [fixed], closed, 255, width, cv2.LINE_AA, _BITS)
    return canvas.astype(np.float32) / 255


def _perspective(size: int, side: float, rng: np.random.Generator) -> np.ndarray:
    """Homography of the unit square into the picture."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5
    corners = corners * rng.uniform(0.6, 1.0, 2) + rng.uniform(-0.12, 0.12, (4, 2))
    angle = rng.normal(0, 0.35)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    room = max(0.0, 0.5 - 0.4 * side / size)
    centre = size * (0.5 + rng.uniform(-room, room, 2))
    target = corners @ turn.T * side + centre
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    return cv2.getPerspectiveTransform(unit, target.astype(np.float32))


_Lines = list[tuple[np.ndarray, bool]]


def _lattice(rng: np.random.Generator) -> _Lines:
    """Bars both ways in a frame: a fence, a window, a racquet."""
    ring = _ring(0.5, 0.5, 0.5) if rng.random() < 0.3 else np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    lines: _Lines = [(ring, True)]
    for axis, count in enumerate(rng.integers(1, 8, 2)):
        for at in np.linspace(0, 1, count + 2)[1:-1]:
            # a bar of a round frame ends at it
            half = 0.5 if len(ring) == 4 else float(np.sqrt(max(0.0, 0.25 - (at - 0.5) ** 2)))
            ends = np.array([[at, 0.5 - half], [at, 0.5 + half]])
            lines.append((ends[:, ::-1] if axis else ends, False))
    return lines


def _bars(rng: np.random.Generator) -> _Lines:
    """Bars one way between two rails: a chair's back, a gate, a ladder."""
    low, high = sorted(rng.uniform(0, 1, 2) * 0.3 + (0.0, 0.7))
    lines: _Lines = [(np.array([[0, at], [1, at]]), False) for at in (low, high)]
    bend = rng.uniform(-0.15, 0.15)
    along = np.linspace(0, 1, 12)
    for at in np.linspace(0, 1, rng.integers(3, 10)):
        lines.append((np.stack([at + bend * np.sin(np.pi * along), along], 1), False))
    return lines


def _wheel(rng: np.random.Generator) -> _Lines:
    """Rim, hub and spokes."""
    lines: _Lines = [(_ring(0.5, 0.5, radius), True) for radius in (0.5, rng.uniform(0.04, 0.15))]
    begin = rng.uniform(0, np.pi)
    for angle in begin + np.linspace(0, 2 * np.pi, rng.integers(3, 15))[:-1]:
        lines.append((0.5 + 0.5 * np.array([[0, 0], [np.cos(angle), np.sin(angle)]]), False))
    return lines


def _twig(rng: np.random.Generator) -> _Lines:
    """A stem with branches that branch again: twigs, antennae, wires."""
    lines: _Lines = []

    def grow(begin: np.ndarray, angle: float, length: float, level: int) -> None:
        angles = angle + np.cumsum(rng.normal(0, 0.12, 10))
        steps = np.stack([np.cos(angles), np.sin(angles)], 1) * length / 10
        points = np.concatenate([begin[None], begin + np.cumsum(steps, 0)])
        lines.append((points, False))
        if level:
            for place in rng.integers(2, 11, rng.integers(1, 4)):
                turned = float(angles[place - 1] + rng.choice((-1, 1)) * rng.uniform(0.4, 1.2))
                grow(points[place], turned, length * rng.uniform(0.3, 0.7), level - 1)

    grow(np.array([0.5, 1.0]), -np.pi / 2, 0.9, int(rng.integers(0, 3)))
    return lines


def _chain(rng: np.random.Generator) -> _Lines:
    """Links along a curve: a chain, a necklace, a string of beads."""
    count = int(rng.integers(5, 14))
    along = np.linspace(0.05, 0.95, count)
    sag = 0.5 + rng.uniform(-0.4, 0.4) * np.sin(np.pi * along)
    radius = 0.5 * rng.uniform(1.0, 1.3) * 0.9 / (count - 1)
    return [(_ring(x, y, radius), True) for x, y in zip(along, sag, strict=True)]


def _ring(x: float, y: float, radius: float) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 49)[:-1]
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)


_KINDS: tuple[Callable[[np.random.Generator], _Lines], ...] = (_lattice, _bars, _wheel, _twig, _chain)
