"""People, cyclists and vehicles of many kinds for training."""

from __future__ import annotations

import numpy as np

from robot_ai.training.lidar_shapes import Shape, Thing, cyclist, person

Random = np.random.Generator


def any_person(rng: Random) -> Thing:
    """A walking or standing adult or child, some in a coat, some with a bag."""
    base = person(rng)
    scale = float(rng.uniform(0.62, 0.9)) if rng.random() < 0.12 else float(rng.uniform(0.95, 1.03))
    wide = float(rng.uniform(0.9, 1.25))
    shapes = [
        Shape(s.kind, (s.center[0] * wide, s.center[1] * wide, s.center[2] * scale),
              (s.half[0] * wide, s.half[1] * wide, s.half[2] * scale), s.yaw)
        for s in base.shapes
    ]  # fmt: skip
    if rng.random() < 0.3:
        long = rng.uniform(0.35, 0.6)
        shapes.append(Shape("cylinder", (0, 0, (1.42 - long) * scale), (0.17 * wide, 0.23 * wide, long * scale)))
    if rng.random() < 0.25:
        shapes.append(Shape("box", (-0.22 * wide, 0, 1.2 * scale), (0.1, 0.16, 0.22 * scale)))
    if rng.random() < 0.15:
        shapes.append(Shape("box", (0, float(rng.choice([-1, 1])) * 0.36 * wide, 0.55 * scale), (0.2, 0.07, 0.15)))
    lost = float(rng.choice([0.0, 0.0, 0.1, 0.3]))
    return Thing("person", tuple(_dimmed(shapes, lost)))


def any_cyclist(rng: Random) -> Thing:
    """Somebody on a bicycle, or on a motor scooter."""
    base = cyclist(rng)
    shapes = list(base.shapes)
    if rng.random() < 0.25:
        shapes.append(Shape("box", (0, 0, 0.55), (0.75, 0.16, 0.28)))
    if rng.random() < 0.3:
        shapes.append(Shape("box", (-0.55, 0, 0.85), (0.18, 0.2, 0.15)))
    if rng.random() < 0.3:
        shapes.append(Shape("box", (-0.2, 0, 1.25), (0.1, 0.16, 0.22)))
    return Thing("cyclist", tuple(_dimmed(shapes, float(rng.choice([0.0, 0.1, 0.25])))))


def any_vehicle(rng: Random) -> Thing:
    """A car of any shape, a van, a pickup, a truck or a bus."""
    kind = rng.random()
    if kind < 0.72:
        shapes = _car(rng)
    elif kind < 0.87:
        shapes = _van(rng)
    elif kind < 0.92:
        shapes = _pickup(rng)
    elif kind < 0.97:
        shapes = _truck(rng)
    else:
        shapes = _bus(rng)
    return Thing("vehicle", tuple(_dimmed(shapes, float(rng.choice([0.0, 0.0, 0.15, 0.4])))))


def _dimmed(shapes: list[Shape], lost: float) -> list[Shape]:
    """Dark surfaces: a part of the rays does not return."""
    return [Shape(s.kind, s.center, s.half, s.yaw, s.passing, max(s.lost, lost), s.roughness) for s in shapes]


def _layer(height: tuple[float, float], along: tuple[float, float], half_wide: float, lost: float = 0.0) -> Shape:
    """A slice of a body from the lower to the upper height, and from back to front."""
    (low, high), (back, front) = height, along
    center = ((back + front) / 2, 0.0, (low + high) / 2)
    return Shape("box", center, ((front - back) / 2, half_wide, (high - low) / 2), lost=lost)


def _wheels(length: float, width: float, radius: float) -> list[Shape]:
    return [
        Shape("cylinder", (x * length, side * (width / 2 - 0.1), radius), (radius, 0.1, radius))
        for x in (-0.3, 0.31)
        for side in (-1, 1)
    ]


def _car(rng: Random) -> list[Shape]:
    """Sills, a waist, a hood and a trunk that fall off, and a cabin of glass under a roof, drawn in layers."""
    length, width, height = rng.uniform(3.5, 5.1), rng.uniform(1.6, 1.95), rng.uniform(1.38, 1.85)
    waist, sill, glass = rng.uniform(0.56, 0.64) * height, rng.uniform(0.18, 0.3), float(rng.uniform(0.0, 0.95))
    half, wide = length / 2, width / 2
    hood, trunk = rng.uniform(0.2, 0.32) * length, rng.choice([0.02, 0.08, 0.2]) * length
    shapes = [
        _layer((sill, 0.75 * waist), (-half, half), wide),
        _layer((0.75 * waist, 0.92 * waist), (-half + 0.04, half - 0.15), wide * 0.98),
        _layer((0.92 * waist, waist), (-half + 0.08, half - hood * 0.6), wide * 0.96),
    ]
    steps, rise = 4, height - waist
    for step in range(steps):
        low, high = waist + rise * step / steps, waist + rise * (step + 1) / steps
        lean = (step + 0.5) / steps
        back, front = (
            -half + trunk + 0.45 * lean * rise * (1 + 2 * (trunk > 0.1 * length)),
            half - hood - 1.1 * lean * rise,
        )
        shapes.append(
            _layer((low, high), (back, front), wide * (0.93 - 0.14 * lean), glass if step < steps - 1 else 0.0)
        )
    return shapes + _wheels(length, width, rng.uniform(0.29, 0.36))


def _van(rng: Random) -> list[Shape]:
    length, width, height = rng.uniform(4.3, 6.8), rng.uniform(1.8, 2.15), rng.uniform(1.85, 2.75)
    half, wide, glass = length / 2, width / 2, float(rng.uniform(0, 0.9))
    nose = rng.uniform(0.3, 1.1)
    shapes = [
        _layer((0.25, 1.0), (-half, half), wide),
        _layer((1.0, 0.8 * height), (-half, half - nose), wide * 0.97, glass if rng.random() < 0.4 else 0.0),
        _layer((0.8 * height, height), (-half + 0.05, half - nose - 0.5), wide * 0.93),
    ]
    return shapes + _wheels(length, width, 0.34)


def _pickup(rng: Random) -> list[Shape]:
    length, width, height = rng.uniform(4.9, 5.8), rng.uniform(1.8, 2.0), rng.uniform(1.7, 1.95)
    half, wide = length / 2, width / 2
    shapes = [
        _layer((0.35, 0.75), (-half, half), wide),
        _layer((0.75, 1.1), (-half, -half + 0.08), wide),
        _layer((0.75, 1.1), (-0.1 * length, half - 0.1), wide),
        _layer((1.1, height), (-0.1 * length, half - 0.3 * length), wide * 0.9, float(rng.uniform(0, 0.9))),
    ]
    shapes += [
        Shape("box", (-0.3 * length, side * (wide - 0.04), 0.93), (0.2 * length, 0.04, 0.18)) for side in (-1, 1)
    ]
    return shapes + _wheels(length, width, 0.38)


def _truck(rng: Random) -> list[Shape]:
    length, width, height = rng.uniform(6.0, 11.0), rng.uniform(2.2, 2.55), rng.uniform(2.6, 3.8)
    half, wide, cab = length / 2, width / 2, rng.uniform(1.6, 2.2)
    shapes = [
        _layer((0.4, rng.uniform(2.2, 3.0)), (half - cab, half), wide * 0.96),
        _layer((rng.uniform(0.7, 1.1), height), (-half, half - cab - 0.3), wide),
    ]
    return shapes + _wheels(length, width, 0.48)


def _bus(rng: Random) -> list[Shape]:
    length, height = rng.uniform(8.5, 12.5), rng.uniform(2.9, 3.3)
    half = length / 2
    shapes = [
        _layer((0.3, 1.1), (-half, half), 1.26),
        _layer((1.1, 2.3), (-half, half), 1.25, float(rng.uniform(0, 0.8))),
        _layer((2.3, height), (-half, half), 1.25),
    ]
    return shapes + _wheels(length, 2.5, 0.48)
