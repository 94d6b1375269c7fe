"""The varied surroundings that the learned lidar detector is trained in: streets, yards and halls, full of things.

What has a label is what is to be found; the rest, often larger or much like it, is there to be told from it. Everything
follows from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from robot_ai.training.lidar_clutter import CLUTTER, building, fence, garden_wall, hedge, own_body, thicket
from robot_ai.training.lidar_scenes import Beams, Ground, Scene
from robot_ai.training.lidar_shapes import Thing, wall
from robot_ai.training.lidar_traffic import any_cyclist, any_person
from robot_ai.training.lidar_vehicles import any_vehicle

Random = np.random.Generator
_TRIES = 12
# The lidar's own place stays free, in meters.
_OWN = 1.2


def random_beams(rng: Random) -> Beams:
    """A lidar of 16 to 128 rows, evenly spread, denser around the horizon or in two blocks, with up to 131,072 rays a
    turn; some see a part of the turn only.
    """
    rows = int(rng.choice([16, 24, 32, 32, 40, 64, 64, 64, 80, 128]))
    columns = min(int(rng.choice([1024, 1024, 1500, 2048])), int(rng.choice([70_000, 131_072])) // rows)
    wide = 2 * np.pi if rng.random() < 0.85 else float(rng.uniform(1.2, 3.5))
    return Beams(
        np.radians(_elevations(rng, rows)),
        columns,
        noise=float(rng.uniform(0.005, 0.04)),
        dropout=float(rng.choice([0.02, 0.05, 0.15])),
        view=(float(rng.uniform(-np.pi, np.pi)), wide),
    )


def _elevations(rng: Random, rows: int) -> NDArray[np.float64]:
    """In degrees, from top to bottom."""
    kind = rng.random()
    if rows >= 40 and kind < 0.2:
        # An upper block that is denser than the lower one, as in the lidar of KITTI's car.
        top, bend, bottom = rng.uniform(1.5, 4), rng.uniform(-10, -7), rng.uniform(-27, -23)
        upper = np.linspace(top, bend, rows // 2, endpoint=False)
        return np.concatenate([upper, np.linspace(bend, bottom, rows - rows // 2)])
    top, bottom = rng.uniform(1.5, 22), -rng.uniform(15, 31)
    even = np.linspace(0, 1, rows)
    if kind < 0.45:
        # Denser in the middle, as in lidars for cars.
        even = 0.5 + 0.5 * np.sign(2 * even - 1) * np.abs(2 * even - 1) ** rng.uniform(1.2, 1.8)
    elevations: NDArray[np.float64] = top + (bottom - top) * even
    return elevations


def training_scene(rng: Random, reach: float = 42.0) -> Scene:
    """A crowded scene around a lidar 0.4 to 2.2 m above a floor with slopes."""
    height = float(rng.uniform(0.4, 2.2))
    builder = _Builder(rng, _ground(rng, height), reach)
    kind = rng.choice(["street", "street", "yard", "hall"])
    if kind == "street":
        _street(builder)
    elif kind == "yard":
        _yard(builder)
    else:
        _hall(builder)
    if height > 0.6 and rng.random() < 0.4:
        builder.things.append(own_body(rng, height - float(rng.uniform(0.15, 0.4))))
        builder.places.append((float(rng.uniform(-1, 1)), 0.0, float(rng.normal(0, 0.1))))
    return Scene(builder.ground, tuple(builder.things), tuple(builder.places))


def _ground(rng: Random, height: float) -> Ground:
    planes = [[*rng.uniform(-0.025, 0.025, 2), -height]]
    if rng.random() < 0.35:
        slope, heading, begin = rng.uniform(0.03, 0.2), rng.uniform(-np.pi, np.pi), rng.uniform(8, 25)
        planes.append([slope * np.cos(heading), slope * np.sin(heading), -height - slope * begin])
    return Ground(np.array(planes))


@dataclass
class _Builder:
    """Puts things where there is room. What takes room is kept as circles along each thing's length."""

    rng: Random
    ground: Ground
    reach: float
    things: list[Thing] = field(default_factory=list)
    places: list[tuple[float, float, float]] = field(default_factory=list)
    circles: list[tuple[float, float, float]] = field(default_factory=list)

    def put(self, thing: Thing, x: float, y: float, yaw: float, gap: float = 0.1) -> bool:
        """Whether there was room."""
        low, high = thing.bounds
        half_long, half_wide = max(-low[0], high[0]), max(-low[1], high[1])
        if half_wide > half_long:
            along, radius, reach = yaw + np.pi / 2, half_long, half_wide
        else:
            along, radius, reach = yaw, half_wide, half_long
        radius = max(radius, 0.05)
        steps = np.linspace(-1, 1, max(1, int(np.ceil(reach / radius)))) * max(reach - radius, 0)
        own = np.column_stack([x + steps * np.cos(along), y + steps * np.sin(along), np.full(len(steps), radius)])
        if (np.hypot(own[:, 0], own[:, 1]) < radius + _OWN).any():
            return False
        if self.circles:
            others = np.array(self.circles)
            gaps = np.hypot(own[:, None, 0] - others[:, 0], own[:, None, 1] - others[:, 1])
            if (gaps < own[:, None, 2] + others[:, 2] + gap).any():
                return False
        self.circles += [(float(a), float(b), float(r)) for a, b, r in own]
        self.things.append(thing)
        self.places.append((float(x), float(y), float(yaw)))
        return True

    def scatter(self, make: Callable[[Random], Thing], count: int, near: float = 1.5, reach: float = 0.0) -> None:
        """Puts `count` things anywhere, uniformly over the distance: what is near is seen best."""
        for _ in range(count):
            thing = make(self.rng)
            for _ in range(_TRIES):
                distance, heading = self.rng.uniform(near, reach or self.reach), self.rng.uniform(-np.pi, np.pi)
                x, y = distance * np.cos(heading), distance * np.sin(heading)
                if self.put(thing, x, y, self.rng.uniform(-np.pi, np.pi)):
                    break

    def along(
        self, make: Callable[[Random], Thing], side: float, heading: float, gap: tuple[float, float], turn: float = 0.0
    ) -> None:
        """A row of things, `side` meters to the left of a line through the lidar, from end to end."""
        at = -self.reach
        cos, sin = np.cos(heading), np.sin(heading)
        while at < self.reach:
            thing = make(self.rng)
            low, high = thing.bounds
            long = high[0] - low[0] if abs(np.sin(turn)) < 0.5 else high[1] - low[1]
            at += long / 2
            yaw = heading + turn + self.rng.choice([0, np.pi]) + self.rng.normal(0, 0.04)
            off = side + self.rng.normal(0, 0.12)
            self.put(thing, at * cos - off * sin, at * sin + off * cos, yaw)
            at += long / 2 + self.rng.uniform(*gap)


def _street(builder: _Builder) -> None:
    rng = builder.rng
    heading, half = rng.uniform(-np.pi, np.pi), rng.uniform(3.0, 8.0)
    shift = rng.uniform(-0.6, 0.6) * half
    for side in (-1, 1):
        front = shift + side * (half + rng.uniform(3.5, 14))
        if rng.random() < 0.35:
            builder.along(thicket, front + side * 3, heading, (0.5, 8))
        elif rng.random() < 0.8:
            builder.along(building, front + side * 5, heading, (0.5, 12))
        if rng.random() < 0.5:
            builder.along(hedge if rng.random() < 0.6 else fence, front - side * 0.8, heading, (0.3, 8))
        if rng.random() < 0.35:
            # A narrow street: cars stand close to walls and hedges.
            edge = garden_wall if rng.random() < 0.7 else hedge
            builder.along(edge, shift + side * (half + rng.uniform(0.2, 1.2)), heading, (0.0, 6))
        if rng.random() < 0.8:
            turn = np.pi / 2 if rng.random() < 0.2 else 0.0
            gaps = (0.6, 2.5) if rng.random() < 0.5 else (0.5, 14)
            builder.along(any_vehicle, shift + side * (half - 1.1 + abs(np.sin(turn))), heading, gaps, turn)
        builder.along(_clutter, shift + side * (half + rng.uniform(0.4, 1.5)), heading, (1, 12))
        builder.along(any_person, shift + side * (half + rng.uniform(1.0, 3.0)), heading, (0.5, 9))
        builder.along(any_cyclist, shift + side * (half * rng.uniform(0.1, 0.7)), heading, (8, 40))
    _fill(builder)


def _yard(builder: _Builder) -> None:
    rng = builder.rng
    builder.scatter(building, int(rng.integers(0, 5)), 14)
    builder.scatter(hedge, int(rng.integers(0, 6)), 6)
    builder.scatter(thicket, int(rng.integers(0, 7)), 6)
    builder.scatter(fence, int(rng.integers(0, 4)), 5)
    builder.scatter(any_vehicle, int(rng.integers(3, 14)), 3.5)
    builder.scatter(any_cyclist, int(rng.integers(2, 8)))
    _fill(builder)


def _hall(builder: _Builder) -> None:
    rng = builder.rng
    half, heading = rng.uniform(4, 18, 2), rng.uniform(-np.pi, np.pi)
    for turn, distance, length in ((0, half[0], half[1]), (1, half[1], half[0]), (2, half[0], half[1]),
                                   (3, half[1], half[0])):  # fmt: skip
        if rng.random() < 0.85:
            way = heading + turn * np.pi / 2
            builder.put(wall(2 * length, rng.uniform(2.5, 4.5)), distance * np.cos(way), distance * np.sin(way),
                        way + np.pi / 2, gap=-1.0)  # fmt: skip
    reach = float(half.max())
    builder.scatter(_clutter, int(rng.integers(8, 25)), 1.3, reach)
    builder.scatter(any_person, int(rng.integers(4, 14)), 1.0, reach)
    _fill(builder)


def _fill(builder: _Builder) -> None:
    """Things of all kinds between those that stand in rows."""
    rng = builder.rng
    builder.scatter(_clutter, int(rng.integers(6, 22)))
    builder.scatter(any_vehicle, int(rng.integers(1, 6)), 3.5)
    builder.scatter(any_cyclist, int(rng.integers(1, 7)))
    builder.scatter(any_person, int(rng.integers(3, 14)), 1.0)
    _company(builder)


def _company(builder: _Builder) -> None:
    """Some people get a companion beside them."""
    people = [p for t, p in zip(builder.things, builder.places, strict=True) if t.label == "person"]
    for x, y, yaw in people:
        if builder.rng.random() < 0.25:
            side = builder.rng.choice([-1, 1]) * builder.rng.uniform(0.55, 0.9)
            turned = yaw + builder.rng.normal(0, 0.3)
            builder.put(any_person(builder.rng), x - side * np.sin(yaw), y + side * np.cos(yaw), turned, gap=-0.15)


def _clutter(rng: Random) -> Thing:
    make = CLUTTER[int(rng.integers(len(CLUTTER)))]
    thing = make(rng)
    # What is no object to be found has no box of its own.
    return replace(thing, label="")
