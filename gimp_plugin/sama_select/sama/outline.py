"""What a stroke's shape says about what was meant by it: holes, outlines left open, what is inside. No GIMP in here.

All lengths are in pixels, all shapes lists of (x, y); a polygon closes from its last point to its first. Filling is in
the standard library alone, for GIMP's Python need not have NumPy. GIMP could do it with a temporary selection or
channel, but each of those leaves a trace in the user's undo history.
"""

from __future__ import annotations

from math import atan2, ceil, hypot, pi
from typing import List, NamedTuple, Optional, Sequence, Tuple

Point = Tuple[float, float]

#: An outline left open: at least so many anchors, for fewer are as likely clicks.
LEAST_ANCHORS = 6
#: Of two outlines, this share of sample points of the one within the other makes it a hole.
_WITHIN = 0.95
_SAMPLES = 48


def with_holes(outlines: Sequence[Sequence[Point]]) -> List[List[Point]]:
    """Return the outlines of one path as polygons without holes, whose union is what the path encloses.

    An outline wholly within another is a hole in it, one within the hole an island, and so on; outlines that overlap
    or touch are parts of one region. A hole is joined to the outline around it by a line there and back, which
    encloses nothing.
    """
    areas = [signed_area(outline) for outline in outlines]
    boxes = [_box(outline) for outline in outlines]
    around: List[List[int]] = [
        [
            outer
            for outer in range(len(outlines))
            if abs(areas[outer]) > abs(areas[inner])
            and _box_within(boxes[inner], boxes[outer])
            and _lies_within(outlines[inner], outlines[outer])
        ]
        for inner in range(len(outlines))
    ]
    polygons = {index: list(outline) for index, outline in enumerate(outlines) if len(around[index]) % 2 == 0}
    for hole, outers in enumerate(around):
        if len(outers) % 2 == 0:
            continue
        # The one nearest around it: everything else around it is around that one too.
        outer = min((index for index in outers if index in polygons), key=lambda index: abs(areas[index]))
        points = list(outlines[hole])
        if (areas[hole] > 0) == (areas[outer] > 0):
            points.reverse()
        start = outlines[outer][0]
        polygons[outer] += [start, *points, points[0], start]
    return list(polygons.values())


def is_left_open(anchors: Sequence[Point], curve: Sequence[Point]) -> bool:
    """Say whether an open stroke is an outline that its user forgot to close, and not clicks one after the other.

    It is when it goes round: it ends near its start, encloses much of what it spans, and hardly crosses itself. It
    takes six anchors, or three where the curve between them bulges as nobody's does who only clicks.

    Args:
        anchors: the stroke's anchors.
        curve: points along the stroke; the anchors where it is straight.
    """
    straight = abs(signed_area(anchors))
    bulges = len(anchors) >= 3 and abs(signed_area(curve)) > 1.25 * straight
    if len(anchors) < LEAST_ANCHORS and not bulges:
        return False
    shape = list(curve) if bulges else list(anchors)
    hull = convex_hull(shape)
    extent = _extent(shape)
    full = abs(signed_area(hull))
    if not _is_end_near_start(anchors, extent) or full < 0.08 * extent**2:
        return False
    # Many clicks hardly ever come in an order that encloses anything; six may, by chance.
    least = 0.35 if len(shape) >= 10 else 0.8
    return abs(signed_area(shape)) >= least * full and not _crosses_itself(anchors)


def may_be_an_outline(anchors: Sequence[Point]) -> bool:
    """Say whether clicks lie as if around the thing rather than on it: none of them is inside of the others' ring.

    True for an outline in several strokes or with a wide gap too, and by chance for a few per cent of honest clicks:
    reason for a remark, not for another reading.
    """
    hull = convex_hull(anchors)
    extent = _extent(anchors)
    if abs(signed_area(hull)) < 0.2 * extent**2:
        return False
    tolerance = (0.03 if len(anchors) < 12 else 0.1) * extent
    on_the_rim = all(_distance_to(hull, point) <= tolerance for point in anchors)
    if len(anchors) >= 8:
        return on_the_rim and _widest_gap(anchors) <= 0.84 * pi
    if len(anchors) == 4:
        return _is_nearly_a_rectangle(anchors)
    in_order = abs(signed_area(anchors)) >= 0.9 * abs(signed_area(hull))
    return len(anchors) > 4 and on_the_rim and in_order and _is_end_near_start(anchors, extent)


class Filled(NamedTuple):
    """A filled region: `mask` is width·height bytes, 255 inside; `bounds` left, top, right, bottom in whole pixels."""

    mask: bytearray
    bounds: Optional[Tuple[int, int, int, int]]

    def is_rectangle(self, width: int) -> bool:
        """True when the region is exactly its bounds; `width` is that of the mask."""
        if self.bounds is None:
            return False
        left, top, right, bottom = self.bounds
        full = b"\xff" * (right - left)
        return all(self.mask[y * width + left : y * width + right] == full for y in range(top, bottom))


def fill(outlines: Sequence[Sequence[Point]], width: int, height: int) -> Filled:
    """Fill closed outlines into a mask of `width` × `height`; several outlines make their union.

    A pixel is inside when its centre is (non-zero winding, so a stroke that crosses itself leaves no hole). Outlines
    may lie partly or wholly off the mask.
    """
    mask = bytearray(width * height)
    left, top, right, bottom = width, height, 0, 0
    for outline in outlines:
        for y, spans in _spans(outline, height):
            start_of_row = y * width
            for x0, x1 in spans:
                x0, x1 = max(0, x0), min(width, x1)
                if x0 < x1:
                    mask[start_of_row + x0 : start_of_row + x1] = b"\xff" * (x1 - x0)
                    left, right = min(left, x0), max(right, x1)
                    top, bottom = min(top, y), max(bottom, y + 1)
    return Filled(mask, (left, top, right, bottom) if left < right else None)


def signed_area(polygon: Sequence[Point]) -> float:
    """Return the area, positive or negative by the sense in which the polygon turns."""
    corners = zip(polygon, [*polygon[1:], *polygon[:1]])
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in corners) / 2


def convex_hull(points: Sequence[Point]) -> List[Point]:
    """Return the corners of the convex hull in order (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    halves = []
    for sequence in (ordered, ordered[::-1]):
        half: List[Point] = []
        for point in sequence:
            while len(half) > 1 and _turn(half[-2], half[-1], point) <= 0:
                half.pop()
            half.append(point)
        halves += half[:-1]
    return halves


def _spans(outline, height):
    """Yield (y, [(x0, x1), …]) in whole pixels for each row whose centre line meets the outline."""
    crossings = {}
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]] if outline else []):
        if y0 == y1:
            continue
        slope = (x1 - x0) / (y1 - y0)
        winding = 1 if y1 > y0 else -1
        first, last = max(0, ceil(min(y0, y1) - 0.5)), min(height, ceil(max(y0, y1) - 0.5))
        for y in range(first, last):
            crossings.setdefault(y, []).append((x0 + (y + 0.5 - y0) * slope, winding))
    for y, row in crossings.items():
        row.sort()
        spans, winding, start = [], 0, 0.0
        for x, step in row:
            if winding == 0:
                start = x
            winding += step
            if winding == 0:
                spans.append((ceil(start - 0.5), ceil(x - 0.5)))
        yield y, spans


def _is_end_near_start(anchors, extent):
    sides = sorted(_distance(anchors[i - 1], anchors[i]) for i in range(1, len(anchors)))
    gap = _distance(anchors[0], anchors[-1])
    return gap <= 0.55 * extent and gap <= max(0.25 * extent, 1.4 * sides[len(sides) // 2])


def _is_nearly_a_rectangle(anchors):
    for before, corner, after in zip([anchors[-1], *anchors], anchors, [*anchors[1:], anchors[0]]):
        a, b = _minus(before, corner), _minus(after, corner)
        if abs(a[0] * b[0] + a[1] * b[1]) > 0.26 * hypot(*a) * hypot(*b):  # the cosine of 75 degrees
            return False
    return True


def _crosses_itself(anchors):
    """Whether sides of the closed polygon cross, but for those at its ends: a hand that overshoots its start."""
    sides = list(zip(anchors, [*anchors[1:], anchors[0]]))
    last = len(sides) - 1
    ends = {0, 1, last - 2, last - 1, last}
    return any(
        _cross(*sides[i], *sides[j])
        for i in range(len(sides))
        for j in range(i + 2, len(sides))
        if not (i in ends and j in ends)
    )


def _cross(a, b, c, d):
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _widest_gap(points):
    """The widest angle without a point, in radians, seen from the middle of the points' box."""
    left, top, right, bottom = _box(points)
    middle = ((left + right) / 2, (top + bottom) / 2)
    angles = sorted(atan2(y - middle[1], x - middle[0]) for x, y in points)
    return max(b - a for a, b in zip(angles, [*angles[1:], angles[0] + 2 * pi]))


def _distance_to(polygon, point):
    return min(_distance_to_side(point, a, b) for a, b in zip(polygon, [*polygon[1:], polygon[0]]))


def _distance_to_side(point, a, b):
    side, to = _minus(b, a), _minus(point, a)
    length = side[0] ** 2 + side[1] ** 2
    along = min(1.0, max(0.0, (side[0] * to[0] + side[1] * to[1]) / length)) if length else 0.0
    return hypot(to[0] - along * side[0], to[1] - along * side[1])


def _lies_within(inner, outer):
    step = max(1, len(inner) // _SAMPLES)
    samples = inner[::step]
    return sum(_contains(outer, point) for point in samples) >= _WITHIN * len(samples)


def _contains(polygon, point):
    """Whether the polygon winds around the point."""
    x, y = point
    winding = 0
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]]):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) > x:
            winding += 1 if y1 > y0 else -1
    return winding != 0


def _box_within(inner, outer):
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def _box(points):
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _extent(points):
    left, top, right, bottom = _box(points)
    return hypot(right - left, bottom - top)


def _turn(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _minus(a, b):
    return a[0] - b[0], a[1] - b[1]


def _distance(a, b):
    return hypot(a[0] - b[0], a[1] - b[1])
