"""Shapes that a lidar's rays hit, and the things that are put together from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A box, an upright elliptic cylinder or an ellipsoid; center and half sizes in meters, yaw in radians.

    cuts: planes (a, b, c, d) that take from a box where a x + b y + c z > d, its faces being at x, y, z = -1 and 1.
    passing: part of the rays that go through, as through leaves and fences. lost: part of the rays that do not return,
    as from glass. roughness: standard deviation, in meters, of how far behind the face a ray ends.
    """

    kind: str
    center: tuple[float, float, float]
    half: tuple[float, float, float]
    yaw: float = 0.0
    passing: float = 0.0
    lost: float = 0.0
    roughness: float = 0.0
    cuts: tuple[tuple[float, float, float, float], ...] = ()

    def hit(self, directions: Floats) -> Floats:
        """(N,): distance along unit directions (N, 3) from the origin to the shape; infinite for a miss."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        half = np.array(self.half)
        # In the shape's own frame, scaled to a unit cube, cylinder or sphere: distances along the ray stay the same.
        start = (turn @ -np.array(self.center)) / half
        along = (directions @ turn.T) / half
        return _hit_box(start, along, self.cuts) if self.cuts else _HITS[self.kind](start, along)

    def moved(self, x: float, y: float, z: float, yaw: float) -> Shape:
        """Turned by `yaw` about the origin's vertical axis, then shifted."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        cx, cy, cz = self.center
        center = (cx * cos - cy * sin + x, cx * sin + cy * cos + y, cz + z)
        return replace(self, center=center, yaw=self.yaw + yaw)


def _entry(near: Floats, far: Floats) -> Floats:
    return np.where((near <= far) & (far > 0) & (near > 0), near, np.inf)


def _slab(start: Floats, along: Floats, axis: int) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(-1 - start[axis]) / along[:, axis], (1 - start[axis]) / along[:, axis]])
    return np.fmin(*ends), np.fmax(*ends)


def _hit_box(start: Floats, along: Floats, cuts: tuple[tuple[float, float, float, float], ...] = ()) -> Floats:
    slabs = [_slab(start, along, axis) for axis in range(3)]
    near, far = np.maximum.reduce([s[0] for s in slabs]), np.minimum.reduce([s[1] for s in slabs])
    for *normal, limit in cuts:
        toward, room = along @ np.array(normal), limit - float(start @ np.array(normal))
        with np.errstate(divide="ignore", invalid="ignore"):
            at = room / toward
        near = np.where(toward < 0, np.maximum(near, at), near)
        far = np.where(toward > 0, np.minimum(far, at), far)
        # Along the plane, on its wrong side.
        far = np.where((toward == 0) & (room < 0), -np.inf, far)
    return _entry(near, far)


def _quadratic(start: Floats, along: Floats) -> tuple[Floats, Floats]:
    a, b, c = (along * along).sum(axis=1), along @ start, start @ start - 1
    root = b * b - a * c
    with np.errstate(divide="ignore", invalid="ignore"):
        side = np.sqrt(root)
        near, far = (-b - side) / a, (-b + side) / a
    return np.where(root >= 0, near, np.inf), np.where(root >= 0, far, -np.inf)


def _hit_ellipsoid(start: Floats, along: Floats) -> Floats:
    return _entry(*_quadratic(start, along))


def _hit_cylinder(start: Floats, along: Floats) -> Floats:
    near, far = _quadratic(start[:2], along[:, :2])
    low, high = _slab(start, along, 2)
    return _entry(np.maximum(near, low), np.minimum(far, high))


_HITS = {"box": _hit_box, "cylinder": _hit_cylinder, "ellipsoid": _hit_ellipsoid}


def dimmed(shapes: Iterable[Shape], lost: float) -> tuple[Shape, ...]:
    """The same with dark surfaces: this part of the rays, at least, does not return."""
    return tuple(replace(shape, lost=max(shape.lost, lost)) for shape in shapes)


@dataclass(frozen=True)
class Thing:
    """Shapes around an origin on the ground, facing along x. label is empty for what is no object, such as a wall."""

    label: str
    shapes: tuple[Shape, ...]

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Least and greatest x, y, z of the shapes, exactly for boxes that are not turned."""
        corners = []
        for shape in self.shapes:
            cos, sin = abs(np.cos(shape.yaw)), abs(np.sin(shape.yaw))
            hx, hy, hz = shape.half
            reach = np.array([hx * cos + hy * sin, hx * sin + hy * cos, hz])
            corners.append((np.array(shape.center) - reach, np.array(shape.center) + reach))
        return np.min([c[0] for c in corners], axis=0), np.max([c[1] for c in corners], axis=0)


def person(rng: np.random.Generator) -> Thing:
    """Two legs in a step, a torso, arms, a head; 1.5 to 1.95 m tall."""
    tall = rng.uniform(1.5, 1.95)
    step, girth = rng.uniform(0, 0.3), rng.uniform(0.9, 1.2)
    leg, torso = 0.48 * tall, 0.34 * tall
    shapes = [
        Shape("cylinder", (side * step / 2, side * 0.1, leg / 2), (0.075 * girth, 0.075 * girth, leg / 2))
        for side in (-1, 1)
    ]
    shapes.append(Shape("cylinder", (0, 0, leg + torso / 2), (0.13 * girth, 0.2 * girth, torso / 2)))
    shapes.append(Shape("ellipsoid", (0.02, 0, tall - 0.12), (0.1, 0.09, 0.12)))
    for side in (-1, 1):
        arm = (-side * step / 3, side * 0.25 * girth, leg + torso * 0.5)
        shapes.append(Shape("cylinder", arm, (0.05, 0.05, torso * 0.55)))
    return Thing("person", tuple(shapes))


def cyclist(rng: np.random.Generator) -> Thing:
    """A rider over two wheels."""
    tall = rng.uniform(1.6, 1.85)
    shapes = [Shape("cylinder", (x, 0, 0.34), (0.33, 0.03, 0.33)) for x in (-0.52, 0.52)]
    shapes.append(Shape("box", (0, 0, 0.65), (0.5, 0.03, 0.08)))
    shapes += [Shape("cylinder", (0.05, side * 0.12, 0.65), (0.09, 0.07, 0.32)) for side in (-1, 1)]
    shapes.append(Shape("ellipsoid", (0.05, 0, tall - 0.5), (0.24, 0.22, 0.36)))
    shapes.append(Shape("ellipsoid", (0.2, 0, tall - 0.12), (0.11, 0.09, 0.12)))
    shapes.append(Shape("box", (0.5, 0, 1.0), (0.04, 0.28, 0.04)))
    return Thing("cyclist", tuple(shapes))


def vehicle(rng: np.random.Generator) -> Thing:
    """A car or a van: body, cabin, wheels."""
    if rng.random() < 0.25:
        length, width, height = rng.uniform(4.6, 6.0), rng.uniform(1.9, 2.1), rng.uniform(1.9, 2.4)
        shapes = [
            Shape("box", (-0.05 * length, 0, 0.3 + (height - 0.3) / 2), (0.45 * length, width / 2, (height - 0.3) / 2))
        ]
        shapes.append(Shape("box", (0.45 * length, 0, 0.7), (0.05 * length, width / 2, 0.4)))
    else:
        length, width, height = rng.uniform(3.6, 4.9), rng.uniform(1.65, 1.9), rng.uniform(1.4, 1.7)
        waist = 0.58 * height
        shapes = [Shape("box", (0, 0, (0.22 + waist) / 2), (length / 2, width / 2, (waist - 0.22) / 2))]
        cabin = (height - waist) / 2
        shapes.append(Shape("box", (-0.06 * length, 0, waist + cabin), (0.3 * length, 0.45 * width, cabin)))
    for x in (-0.31, 0.31):
        for side in (-1, 1):
            wheel = (x * length, side * (width / 2 - 0.1), 0.32)
            shapes.append(Shape("ellipsoid", wheel, (0.32, 0.1, 0.32)))
    return Thing("vehicle", tuple(shapes))


def furniture(rng: np.random.Generator) -> Thing:
    """A table, a chair, a shelf, a bin, a pole or a bush: an obstacle."""
    kind = rng.choice(["table", "chair", "shelf", "bin", "pole", "bush"])
    if kind == "table":
        top, long, wide = rng.uniform(0.65, 0.8), rng.uniform(0.4, 0.9), rng.uniform(0.3, 0.5)
        shapes = [Shape("box", (0, 0, top), (long, wide, 0.02))]
        corners = [(x * (long - 0.05), y * (wide - 0.05)) for x in (-1, 1) for y in (-1, 1)]
        shapes += [Shape("box", (x, y, top / 2), (0.03, 0.03, top / 2)) for x, y in corners]
    elif kind == "chair":
        shapes = [Shape("box", (0, 0, 0.45), (0.22, 0.22, 0.03)), Shape("box", (-0.2, 0, 0.7), (0.02, 0.22, 0.25))]
        shapes += [Shape("box", (x, y, 0.22), (0.02, 0.02, 0.22)) for x in (-0.2, 0.2) for y in (-0.2, 0.2)]
    elif kind == "shelf":
        height = rng.uniform(1.2, 2.2)
        shapes = [Shape("box", (0, 0, height / 2), (rng.uniform(0.4, 1.0), 0.2, height / 2))]
    elif kind == "bin":
        shapes = [Shape("cylinder", (0, 0, 0.5), (0.3, 0.3, rng.uniform(0.35, 0.5)))]
    elif kind == "pole":
        height = rng.uniform(2.5, 6.0)
        shapes = [Shape("cylinder", (0, 0, height / 2), (0.08, 0.08, height / 2))]
    else:
        shapes = [
            Shape("ellipsoid", (*rng.uniform(-0.4, 0.4, 2), rng.uniform(0.3, 0.8)), tuple(rng.uniform(0.3, 0.7, 3)))
            for _ in range(4)
        ]
    return Thing("obstacle", tuple(shapes))


def wall(length: float, height: float) -> Thing:
    """A straight wall along x: no object."""
    return Thing("", (Shape("box", (0, 0, height / 2), (length / 2, 0.1, height / 2)),))
