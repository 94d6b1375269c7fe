"""What stands around and is not to be taken for people or vehicles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robot_ai.training.lidar_shapes import Shape, Thing, cyclist, furniture

Random = np.random.Generator


def building(rng: Random) -> Thing:
    """A long front with recesses and steps before it."""
    length, depth, height = rng.uniform(5, 22), rng.uniform(4, 10), rng.uniform(2.5, 9)
    lost = float(rng.choice([0.0, 0.0, 0.2]))
    shapes = [Shape("box", (0, 0, height / 2), (length / 2, depth / 2, height / 2), lost=lost)]
    for _ in range(int(rng.integers(0, 5))):
        x, side = rng.uniform(-0.45, 0.45) * length, float(rng.choice([-1, 1]))
        out, wide, tall = rng.uniform(0.1, 0.8), rng.uniform(0.2, 1.5), rng.uniform(0.2, 3)
        shapes.append(Shape("box", (x, side * (depth / 2 + out / 2), tall / 2), (wide / 2, out / 2, tall / 2)))
    return Thing("", tuple(shapes))


def hedge(rng: Random) -> Thing:
    """Leaves that rays end in at any depth, in bulges."""
    length, wide, tall = rng.uniform(1.5, 14), rng.uniform(0.5, 1.6), rng.uniform(0.5, 2.2)
    passing, rough = float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.05, 0.3))
    shapes = [Shape("box", (0, 0, tall / 2), (length / 2, wide / 2, tall / 2), 0.0, passing, 0.0, rough)]
    for _ in range(int(length)):
        x = rng.uniform(-length / 2, length / 2)
        half = (rng.uniform(0.3, 0.8), wide / 2 + rng.uniform(0, 0.3), rng.uniform(0.2, 0.5))
        shapes.append(Shape("ellipsoid", (x, 0, tall * rng.uniform(0.6, 1)), half, 0.0, passing, 0.0, rough))
    return Thing("", tuple(shapes))


def thicket(rng: Random) -> Thing:
    """A belt of trees and shrubs that rays go deep into, and end at any depth and height."""
    length, depth, tall = rng.uniform(6, 35), rng.uniform(1.5, 7), rng.uniform(2.0, 6.0)
    shapes = []
    for _ in range(int(np.clip(length * depth / 6, 4, 24))):
        x, y = rng.uniform(-0.5, 0.5) * length, rng.uniform(-0.5, 0.5) * depth
        half = (rng.uniform(0.8, 2.5), rng.uniform(0.8, 2.0), rng.uniform(0.4, 0.6) * tall)
        at = (x, y, rng.uniform(0.3, 0.9) * half[2] + 0.2)
        passing, rough = float(rng.uniform(0.55, 0.92)), float(rng.uniform(0.2, 0.8))
        shapes.append(Shape("ellipsoid", at, half, float(rng.uniform(0, np.pi)), passing, 0.0, rough))
        if rng.random() < 0.4:
            trunk = rng.uniform(0.05, 0.25)
            shapes.append(Shape("cylinder", (x, y, tall / 2), (trunk, trunk, tall / 2)))
    return Thing("", tuple(shapes))


def own_body(rng: Random, top: float) -> Thing:
    """The vehicle or robot that carries the lidar, up to `top` meters above the ground."""
    half = (rng.uniform(0.3, 2.3), rng.uniform(0.3, 0.95), top / 2)
    shapes = [Shape("box", (0, 0, top / 2), half)]
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-half[0], half[0]), rng.uniform(-half[1], half[1])
        shapes.append(Shape("box", (x, y, top), (rng.uniform(0.05, 0.5), rng.uniform(0.05, 0.3), 0.1)))
    return Thing("", tuple(shapes))


def fence(rng: Random) -> Thing:
    """Boards, bars or wire, or a low wall."""
    length, tall = rng.uniform(2, 16), rng.uniform(0.5, 2.0)
    passing = float(rng.choice([0.0, 0.3, 0.7]))
    shapes = [Shape("box", (0, 0, tall / 2), (length / 2, 0.04, tall / 2), passing=passing)]
    shapes += [
        Shape("box", (float(x), 0, tall / 2), (0.05, 0.05, tall / 2)) for x in np.arange(-length / 2, length / 2, 2.5)
    ]
    return Thing("", tuple(shapes))


def garden_wall(rng: Random) -> Thing:
    """A wall, or the front of a house, that stands straight at the edge of the street; some have a gate or a step."""
    length, tall = rng.uniform(3, 20), float(rng.choice([rng.uniform(0.8, 2.2), rng.uniform(2.5, 7)]))
    shapes = [Shape("box", (0, 0, tall / 2), (length / 2, 0.15, tall / 2))]
    for _ in range(int(rng.integers(0, 4))):
        x, out, high = rng.uniform(-0.45, 0.45) * length, rng.uniform(0.03, 0.15), rng.uniform(0.2, 1) * tall
        side = float(rng.choice([-1, 1]))
        shapes.append(Shape("box", (x, side * (0.15 + out / 2), high / 2), (rng.uniform(0.1, 0.6), out / 2, high / 2)))
    return Thing("", tuple(shapes))


def tree(rng: Random) -> Thing:
    """A trunk under leaves."""
    trunk, stem, rough = rng.uniform(0.08, 0.35), rng.uniform(1.2, 3.5), float(rng.uniform(0.1, 0.5))
    crown = rng.uniform(0.8, 3.0)
    shapes = [Shape("cylinder", (0, 0, stem / 2), (trunk, trunk, stem / 2))]
    for _ in range(4):
        at = (*(rng.uniform(-0.5, 0.5, 2) * crown), stem + rng.uniform(0.3, 1) * crown)
        half = tuple(rng.uniform(0.5, 1.0, 3) * crown)
        shapes.append(Shape("ellipsoid", at, half, 0.0, float(rng.uniform(0.3, 0.7)), 0.0, rough))
    return Thing("", tuple(shapes))


def bush(rng: Random) -> Thing:
    """Leaves down to the ground, as large as a person or as a small car."""
    size, rough = rng.uniform(0.3, 1.4), float(rng.uniform(0.05, 0.3))
    shapes = []
    for _ in range(int(rng.integers(2, 6))):
        at = (*(rng.uniform(-0.6, 0.6, 2) * size), rng.uniform(0.3, 0.9) * size)
        half = tuple(rng.uniform(0.4, 1.0, 3) * size)
        shapes.append(Shape("ellipsoid", at, half, 0.0, float(rng.uniform(0, 0.5)), 0.0, rough))
    return Thing("", tuple(shapes))


def pole(rng: Random) -> Thing:
    """A post, a lamp, a sign or a bollard."""
    thick, tall = rng.uniform(0.03, 0.16), rng.choice([rng.uniform(0.6, 1.2), rng.uniform(1.8, 6.0)])
    shapes = [Shape("cylinder", (0, 0, tall / 2), (thick, thick, tall / 2))]
    if tall > 1.8 and rng.random() < 0.6:
        low = rng.uniform(1.0, tall - 0.5)
        shapes.append(Shape("box", (thick, 0, low), (0.02, rng.uniform(0.15, 0.7), rng.uniform(0.15, 0.5))))
    if rng.random() < 0.3:
        shapes.append(Shape("box", (0, 0, 0.3), (rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3), 0.3)))
    return Thing("", tuple(shapes))


def cabinet(rng: Random) -> Thing:
    """A box on the ground: a switch cabinet, a bin, a container, a stack, a bench."""
    half = (rng.uniform(0.15, 1.6), rng.uniform(0.12, 0.8), rng.uniform(0.15, 1.0))
    return Thing("", (Shape("box", (0, 0, half[2]), half),))


def pillar(rng: Random) -> Thing:
    """A column of a building, or a pair of gate posts."""
    half, tall = rng.uniform(0.12, 0.4), rng.uniform(1.2, 4.5)
    kind = str(rng.choice(["box", "cylinder"]))
    shapes = [Shape(kind, (0, 0, tall / 2), (half, half, tall / 2))]
    if rng.random() < 0.3:
        shapes.append(Shape(kind, (rng.uniform(0.9, 4), 0, tall / 2), (half, half, tall / 2)))
    return Thing("", tuple(shapes))


def parked_bicycle(rng: Random) -> Thing:
    """A bicycle that nobody sits on."""
    return Thing("", cyclist(rng).shapes[:3])


def kerb(rng: Random) -> Thing:
    """A low edge."""
    tall = rng.uniform(0.08, 0.3)
    return Thing("", (Shape("box", (0, 0, tall / 2), (rng.uniform(1, 6), rng.uniform(0.1, 0.5), tall / 2)),))


def trailer(rng: Random) -> Thing:
    """A trailer, a cart or a skip: as large as a car, without its shape."""
    length, wide, low = rng.uniform(1.5, 4.5), rng.uniform(0.8, 2.2), rng.uniform(0.3, 0.7)
    high = low + rng.uniform(0.3, 0.9)
    shapes = [Shape("box", (0, 0, (low + high) / 2), (length / 2, wide / 2, (high - low) / 2))]
    shapes += [Shape("cylinder", (0, side * wide / 2, 0.3), (0.3, 0.08, 0.3)) for side in (-1, 1)]
    return Thing("", tuple(shapes))


CLUTTER: tuple[Callable[[Random], Thing], ...] = (
    pole, pole, tree, tree, bush, bush, cabinet, cabinet, pillar, furniture, furniture, parked_bicycle, kerb, trailer,
    fence, hedge,
)  # fmt: skip
