"""Cars, vans, pickups, trucks and buses for training: bodies with rounded corners, raked glass and seats behind it.

A body is a box that planes are cut from. Lengths run from a two-seater's to a saloon's. What is of glass lets a part of
the rays through to the seats, loses a part, and returns the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from robot_ai.training.lidar_shapes import Shape, Thing, dimmed

Random = np.random.Generator
Cut = tuple[float, float, float, float]

# A corner seen from above is cut at these headings, in degrees from the end's own: an arc in three pieces.
_CORNER_CUTS = (22.0, 45.0, 68.0)
_OPEN = (-np.inf, np.inf)


@dataclass(frozen=True)
class _Block:
    """Lengths (low, high) in meters along x, y and z, with planes to be cut off."""

    x: tuple[float, float]
    half_wide: float
    z: tuple[float, float]
    cuts: tuple[Cut, ...] = ()

    @property
    def _center(self) -> tuple[float, float, float]:
        return (self.x[0] + self.x[1]) / 2, 0.0, (self.z[0] + self.z[1]) / 2

    @property
    def _half(self) -> tuple[float, float, float]:
        return (self.x[1] - self.x[0]) / 2, self.half_wide, (self.z[1] - self.z[0]) / 2

    def cut(self, normal: tuple[float, float, float], point: tuple[float, float, float]) -> _Block:
        """Without what lies beyond the plane through `point`, in meters, that faces along `normal`."""
        half, center = self._half, self._center
        a, b, c = (n * h for n, h in zip(normal, half, strict=True))
        limit = sum(n * (p - m) for n, p, m in zip(normal, point, center, strict=True))
        return replace(self, cuts=(*self.cuts, (a, b, c, limit)))

    def sloped(self, low: tuple[float, float], high: tuple[float, float], end: int) -> _Block:
        """Cut along the line from `low` to `high`, each (x, z), which faces forward (end 1) or backward (-1)."""
        along, up = high[0] - low[0], high[1] - low[1]
        return self.cut((end * up, 0.0, -end * along), (low[0], 0.0, low[1]))

    def leaning(self, low: tuple[float, float], high: tuple[float, float]) -> _Block:
        """Both sides cut along the line from `low` to `high`, each (distance from the middle, z)."""
        block, aside, up = self, high[0] - low[0], high[1] - low[1]
        for side in (-1.0, 1.0):
            block = block.cut((0.0, side * up, -aside), (0.0, side * low[0], low[1]))
        return block

    def rounded(self, end: int, deep: float, wide: float) -> _Block:
        """Both corners of the end (1: front, -1: back) cut to an arc that takes `deep` meters of the length and `wide`
        of the half width.
        """
        block, tip = self, self.x[1] if end > 0 else self.x[0]
        for side in (-1, 1):
            for degrees in _CORNER_CUTS:
                cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
                # The tangent of a quarter of an ellipse, where it faces this way.
                x, y = tip - end * deep * (1 - cos), side * (self.half_wide - wide * (1 - sin))
                block = block.cut((end * cos / deep, side * sin / wide, 0.0), (x, y, 0.0))
        return block

    def part(self, x: tuple[float, float] = _OPEN, z: tuple[float, float] = _OPEN) -> _Block:
        """What lies between two planes across the length, or between two heights."""
        block = self
        for side, at in zip((-1.0, 1.0), x, strict=True):
            block = block.cut((side, 0.0, 0.0), (at, 0.0, 0.0)) if np.isfinite(at) else block
        for side, at in zip((-1.0, 1.0), z, strict=True):
            block = block.cut((0.0, 0.0, side), (0.0, 0.0, at)) if np.isfinite(at) else block
        return block

    def shape(self, passing: float = 0.0, lost: float = 0.0) -> Shape:
        """The block as a shape."""
        return Shape("box", self._center, self._half, passing=passing, lost=lost, cuts=self.cuts)


@dataclass(frozen=True)
class _Glass:
    passing: float
    lost: float

    @classmethod
    def any(cls, rng: Random) -> _Glass:
        return cls(float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.0, 0.8)))


def any_vehicle(rng: Random) -> Thing:
    """A car of any shape, a van, a pickup, a truck or a bus; dark ones return but a part of the rays."""
    make = rng.choice(np.array([_car, _van, _pickup, _truck, _bus]), p=(0.75, 0.13, 0.04, 0.05, 0.03))
    lost = float(rng.choice([0.0, 0.0, 0.15, 0.4]))
    return Thing("vehicle", dimmed(make(rng), lost))


def _wheels(length: float, width: float, radius: float) -> list[Shape]:
    return [
        Shape("cylinder", (x * length, side * (width / 2 - 0.1), radius), (radius, 0.1, radius))
        for x in (-0.3, 0.31)
        for side in (-1, 1)
    ]


def _car(rng: Random) -> list[Shape]:
    """A two-seater, a hatchback, an estate or a saloon."""
    small = rng.random() < 0.15
    length = rng.uniform(2.5, 3.5) if small else rng.uniform(3.5, 5.1)
    width, height = rng.uniform(1.5, 1.7) if small else rng.uniform(1.6, 1.95), rng.uniform(1.36, 1.85)
    half, wide, waist = length / 2, width / 2, rng.uniform(0.56, 0.66) * height
    hood, trunk = rng.uniform(0.14, 0.3) * length, rng.choice([0.0, 0.03, 0.16]) * length
    nose, tail = waist - rng.uniform(0.12, 0.32), waist - rng.uniform(0.0, 0.12)
    sill = rng.uniform(0.16, 0.3)
    body = _Block((-half, half), wide, (sill, waist + 0.03))
    body = body.rounded(1, rng.uniform(0.25, 0.7), wide * rng.uniform(0.6, 1.0))
    body = body.rounded(-1, rng.uniform(0.15, 0.5), wide * rng.uniform(0.5, 1.0))
    body = body.sloped((half, nose), (half - hood, waist), 1).sloped((-half, tail), (-half + 0.15 + trunk, waist), -1)
    # Below the bumpers, and from the doors up to the windows, the body draws in.
    body = body.cut((0.5, 0, -1), (half - 0.02, 0, sill + rng.uniform(0.05, 0.25)))
    body = body.cut((-0.5, 0, -1), (-half + 0.02, 0, sill + rng.uniform(0.05, 0.25)))
    body = body.leaning((wide, 0.65 * waist), (wide * rng.uniform(0.9, 0.97), waist))
    windows = (body.x[0] + trunk + 0.03, body.x[1] - hood)
    return [
        body.shape(),
        *_cabin(rng, windows, (waist, height), wide, trunk > 0.1),
        *_wheels(length, width, _wheel(rng)),
    ]


def _wheel(rng: Random) -> float:
    return float(rng.uniform(0.28, 0.36))


def _cabin(
    rng: Random, along: tuple[float, float], heights: tuple[float, float], half_wide: float, saloon: bool
) -> list[Shape]:
    """Windows all around under a roof that pillars carry, and seats inside."""
    (back, front), (waist, height) = along, heights
    glass, rise = _Glass.any(rng), height - waist
    top_front, top_back = front - rise * rng.uniform(1.0, 1.9), back + rise * rng.uniform(0.15, 0.9)
    if saloon:
        top_back += 0.4 * rise
    # A short car has a short roof, not none.
    top_front = max(top_front, (front + back) / 2 + 0.25)
    top_back = min(top_back, (front + back) / 2 - 0.25)
    wide, narrow = half_wide * rng.uniform(0.88, 0.95), half_wide * rng.uniform(0.66, 0.8)
    cabin = _Block((back, front), wide, (waist - 0.02, height)).leaning((wide, waist), (narrow, height))
    cabin = cabin.sloped((front, waist), (top_front, height), 1).sloped((back, waist), (top_back, height), -1)
    # The roof falls off a little to both ends; windshields are bent.
    cabin = cabin.cut((0.12, 0, 1), ((top_front + top_back) / 2 + 0.2, 0, height))
    cabin = cabin.cut((-0.1, 0, 1), ((top_front + top_back) / 2 - 0.2, 0, height))
    for end, low, top in ((1, front, top_front), (-1, back, top_back)):
        for side in (-1, 1):
            normal = (end * 0.87 * rise, side * 0.5 * rise, end * (low - top))
            cabin = cabin.cut(normal, (low - end * 0.03, side * wide * 0.7, waist))
    roof = height - rng.uniform(0.07, 0.16)
    shapes = [cabin.part(z=(roof, np.inf)).shape(), cabin.part(z=(-np.inf, roof)).shape(glass.passing, glass.lost)]
    middle = (top_front + top_back) / 2 + rng.uniform(-0.1, 0.3)
    shapes += [cabin.part(x=(at - 0.06, at + 0.06)).shape() for at in (middle, top_back)]
    for row in (0.35, 0.75):
        at, rest = back + row * (front - back), waist + rng.uniform(0.1, 0.7) * rise
        half = (0.12, wide * 0.3, rest / 2 - 0.2)
        shapes += [Shape("box", (at, side * wide * 0.45, rest / 2 + 0.2), half) for side in (-1, 1)]
    return shapes


def _van(rng: Random) -> list[Shape]:
    length, width, height = rng.uniform(4.0, 6.8), rng.uniform(1.75, 2.1), rng.uniform(1.8, 2.75)
    half, wide, glass = length / 2, width / 2, _Glass.any(rng)
    nose, waist, top = rng.uniform(0.3, 1.1), rng.uniform(0.9, 1.15), height - rng.uniform(0.2, 0.5)
    body = _Block((-half, half), wide, (0.25, height)).rounded(1, rng.uniform(0.2, 0.5), wide * 0.8)
    body = body.rounded(-1, rng.uniform(0.05, 0.2), wide * rng.uniform(0.2, 0.6))
    body = body.leaning((wide, waist), (wide * rng.uniform(0.85, 0.95), height))
    # A hood, and a windshield from its middle up.
    body = body.sloped((half, waist - 0.25), (half - nose, waist + 0.1), 1)
    body = body.sloped((half - 0.6 * nose, waist), (half - nose - rng.uniform(0.3, 0.9), height), 1)
    # Behind the driver: windows between posts, or none.
    doors = half - nose - 1.2
    panes = body.part(x=(doors, half), z=(waist, top)).shape(glass.passing, glass.lost)
    rear = body.part(x=(-half, doors), z=(waist, top))
    shapes = [body.part(z=(0, waist)).shape(), body.part(z=(top, height)).shape(), panes]
    if rng.random() < 0.5:
        shapes.append(rear.shape())
    else:
        posts = [rear.part(x=(at - 0.08, at + 0.08)).shape() for at in (-half + 0.08, doors, (doors - half) / 2)]
        shapes += [rear.shape(glass.passing, glass.lost), *posts]
    return shapes + _wheels(length, width, 0.34)


def _pickup(rng: Random) -> list[Shape]:
    length, width, height = rng.uniform(4.9, 5.8), rng.uniform(1.8, 2.0), rng.uniform(1.7, 1.95)
    half, wide, glass, back = length / 2, width / 2, _Glass.any(rng), -0.1 * length
    sides = (
        _Block((-half, half), wide, (0.35, 1.1))
        .rounded(1, 0.4, wide * 0.8)
        .sloped((half, 0.9), (0.25 * length, 1.1), 1)
    )
    cabin = _Block((back, half - 0.22 * length), wide * 0.92, (1.1, height)).leaning(
        (wide * 0.92, 1.1), (wide * 0.75, height)
    )
    cabin = cabin.sloped((half - 0.22 * length, 1.1), (half - 0.36 * length, height), 1)
    shapes = [
        sides.part(z=(0.35, 0.75)).shape(),
        sides.part(x=(back, half)).shape(),
        sides.part(x=(-half, -half + 0.08)).shape(),
        cabin.part(z=(1.1, height - 0.12)).shape(glass.passing, glass.lost),
        cabin.part(z=(height - 0.12, height)).shape(),
    ]
    shapes += [
        Shape("box", (-0.3 * length, side * (wide - 0.04), 0.93), (0.2 * length, 0.04, 0.18)) for side in (-1, 1)
    ]
    return shapes + _wheels(length, width, 0.38)


def _truck(rng: Random) -> list[Shape]:
    length, width, height = rng.uniform(6.0, 11.0), rng.uniform(2.2, 2.55), rng.uniform(2.6, 3.8)
    half, wide, cab = length / 2, width / 2, rng.uniform(1.6, 2.2)
    driver = _Block((half - cab, half), wide * 0.96, (0.4, rng.uniform(2.2, 3.0))).rounded(1, 0.25, wide * 0.4)
    shapes = [driver.shape(), _Block((-half, half - cab - 0.3), wide, (rng.uniform(0.7, 1.1), height)).shape()]
    return shapes + _wheels(length, width, 0.48)


def _bus(rng: Random) -> list[Shape]:
    length, height, glass = rng.uniform(8.5, 12.5), rng.uniform(2.9, 3.3), _Glass.any(rng)
    half = length / 2
    body = _Block((-half, half), 1.26, (0.3, height)).rounded(1, 0.3, 0.6)
    panes = body.part(z=(1.1, 2.3)).shape(glass.passing, glass.lost)
    return [body.part(z=(0.3, 1.1)).shape(), panes, body.part(z=(2.3, height)).shape(), *_wheels(length, 2.5, 0.48)]
