"""People and cyclists of many kinds for training."""

from __future__ import annotations

import numpy as np

from robot_ai.training.lidar_shapes import Shape, Thing, cyclist, dimmed, person

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
    return Thing("person", dimmed(shapes, lost))


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
    return Thing("cyclist", dimmed(shapes, float(rng.choice([0.0, 0.1, 0.25]))))
