"""Simulated lidar scans with their true boxes: people, vehicles, furniture, walls and sloping ground, ray-cast.

Everything follows from a seed. The lidar is the origin, z points up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.training.lidar_shapes import Floats, Shape, Thing, cyclist, furniture, person, vehicle, wall


@dataclass(frozen=True)
class Beams:
    """A spinning lidar: elevations (rows,) in radians, from top to bottom, and columns per turn.

    noise: standard deviation of a range in meters. dropout: part of the returns that are lost. view: heading of the
    middle of what it sees, and how wide that is, in radians.
    """

    elevations: Floats
    columns: int = 1024
    max_range: float = 100.0
    min_range: float = 0.5
    noise: float = 0.015
    dropout: float = 0.03
    view: tuple[float, float] = (0.0, 2 * np.pi)

    @classmethod
    def even(cls, rows: int, top: float, bottom: float, columns: int = 1024) -> Beams:
        """Beams at even angles between `top` and `bottom` degrees."""
        return cls(np.radians(np.linspace(top, bottom, rows)), columns)


BEAMS = {
    16: Beams.even(16, 15, -15, 1800),
    32: Beams.even(32, 16, -31),
    64: Beams.even(64, 16.6, -16.6),
    128: Beams.even(128, 22.5, -22.5),
}
"""Layouts by number of rows, after the angles in the data sheets of common lidars."""


@dataclass(frozen=True)
class Ground:
    """The upper envelope of planes z = a x + b y + c, rows (a, b, c): a floor, and ramps that rise out of it."""

    planes: Floats

    @classmethod
    def level(cls, below: float) -> Ground:
        """A floor `below` meters under the lidar."""
        return cls(np.array([[0.0, 0.0, -below]]))

    def height(self, x: float, y: float) -> float:
        """z of the ground."""
        return float((self.planes @ (x, y, 1.0)).max())

    def hit(self, directions: Floats) -> Floats:
        """(N,): distance along unit directions (N, 3); infinite for those that never meet it."""
        steepness = directions[:, 2:3] - directions[:, :2] @ self.planes[:, :2].T
        with np.errstate(divide="ignore"):
            distances = self.planes[:, 2] / steepness
        distances = np.where(distances > 0, distances, np.inf)
        nearest: Floats = distances.min(axis=1)
        return nearest


@dataclass(frozen=True)
class Scene:
    """Things with their places (x, y, yaw) in the lidar's frame."""

    ground: Ground
    things: tuple[Thing, ...]
    places: tuple[tuple[float, float, float], ...]

    @property
    def truth(self) -> Detections3D:
        """The boxes of everything that has a label."""
        rows = []
        for thing, (x, y, yaw) in zip(self.things, self.places, strict=True):
            if not thing.label:
                continue
            low, high = thing.bounds
            middle = (low + high) / 2
            cos, sin = np.cos(yaw), np.sin(yaw)
            center = (
                x + middle[0] * cos - middle[1] * sin,
                y + middle[0] * sin + middle[1] * cos,
                self.ground.height(x, y) + middle[2],
            )
            rows.append([*center, *(high - low), yaw, LABELS.index(thing.label)])
        table = np.array(rows, np.float32).reshape(-1, 8)
        ones = np.ones(len(table), np.float32)
        return Detections3D(table[:, :3], table[:, 3:6], table[:, 6], ones, table[:, 7].astype(np.int64))


@dataclass(frozen=True)
class Scan:
    """points: (rows * columns, 3) float32, NaN where nothing returned, row after row. things: (rows * columns,) index
    of the scene's thing that was hit, -1 for the ground, -2 for nothing.
    """

    points: NDArray[np.float32]
    things: NDArray[np.int64]
    rows: int = field(default=1)

    @property
    def measured(self) -> NDArray[np.float32]:
        """The points that returned, (N, 3)."""
        return self.points[self.things > -2]


def cast(scene: Scene, beams: Beams, rng: np.random.Generator) -> Scan:
    """One turn of the lidar: every ray ends at the first thing it meets, so that things hide what is behind them."""
    azimuths: Floats = np.arange(beams.columns, dtype=float) * (2 * np.pi / beams.columns) - np.pi
    flat, up = np.cos(beams.elevations)[:, None], np.sin(beams.elevations)[:, None]
    directions = np.stack(
        [flat * np.cos(azimuths), flat * np.sin(azimuths), np.broadcast_to(up, (len(up), beams.columns))], axis=-1
    )
    ranges = scene.ground.hit(directions.reshape(-1, 3)).reshape(directions.shape[:2])
    owners = np.where(np.isfinite(ranges), -1, -2)
    for index, (thing, (x, y, yaw)) in enumerate(zip(scene.things, scene.places, strict=True)):
        base = scene.ground.height(x, y)
        for shape in thing.shapes:
            placed = shape.moved(x, y, base, yaw)
            reach = float(np.hypot(*shape.half[:2]))
            columns, rows = _columns(placed.center, reach, azimuths), _rows(placed, reach, beams.elevations)
            if not columns.any() or rows.start >= rows.stop:
                continue
            rays = directions[rows, columns]
            hits = _ends(placed, rays, rng)
            before = ranges[rows, columns]
            nearer = hits < before
            ranges[rows, columns] = np.where(nearer, hits, before)
            kind = np.where(_absorbed(placed, hits.shape, rng), -2, index)
            owners[rows, columns] = np.where(nearer, kind, owners[rows, columns])
    ranges = ranges + rng.normal(0, beams.noise, ranges.shape)
    lost = (
        (owners == -2)
        | (ranges > beams.max_range)
        | (ranges < beams.min_range)
        | (rng.random(ranges.shape) < beams.dropout)
        | (np.abs((azimuths - beams.view[0] + np.pi) % (2 * np.pi) - np.pi) > beams.view[1] / 2)
    )
    owners = np.where(lost, -2, owners)
    with np.errstate(invalid="ignore"):
        points = np.where((owners > -2)[..., None], directions * ranges[..., None], np.nan)
    return Scan(points.reshape(-1, 3).astype(np.float32), owners.ravel().astype(np.int64), len(beams.elevations))


def _columns(center: tuple[float, float, float], reach: float, azimuths: Floats) -> NDArray[np.bool_]:
    """The columns whose rays can meet a circle seen from above."""
    distance = float(np.hypot(center[0], center[1]))
    if distance <= reach:
        return np.ones(len(azimuths), np.bool_)
    away = np.abs((azimuths - np.arctan2(center[1], center[0]) + np.pi) % (2 * np.pi) - np.pi)
    columns: NDArray[np.bool_] = away <= np.arcsin(reach / distance) + 1e-9
    return columns


def _rows(placed: Shape, reach: float, elevations: Floats) -> slice:
    """The rows, which run from top to bottom, whose rays can meet a shape seen from the side."""
    distance = float(np.hypot(placed.center[0], placed.center[1]))
    near, far = distance - reach, distance + reach
    if near <= 0:
        return slice(0, len(elevations))
    low, high = placed.center[2] - placed.half[2], placed.center[2] + placed.half[2]
    highest = np.arctan2(high, near if high > 0 else far) + 1e-9
    lowest = np.arctan2(low, near if low < 0 else far) - 1e-9
    falling = -elevations
    first, last = np.searchsorted(falling, -highest), np.searchsorted(falling, -lowest, side="right")
    return slice(int(first), int(last))


def _ends(shape: Shape, rays: Floats, rng: np.random.Generator) -> Floats:
    """Distance (rows, columns) at which each ray ends in a shape; infinite for what misses or passes it."""
    hits: Floats = shape.hit(rays.reshape(-1, 3)).reshape(rays.shape[:2])
    if shape.roughness:
        hits = hits + np.abs(rng.normal(0, shape.roughness, hits.shape))
    if shape.passing:
        hits = np.where(rng.random(hits.shape) < shape.passing, np.inf, hits)
    return hits


def _absorbed(shape: Shape, size: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    if not shape.lost:
        return np.zeros(size, np.bool_)
    absorbed: NDArray[np.bool_] = rng.random(size) < shape.lost
    return absorbed


_MAKERS = {"person": person, "cyclist": cyclist, "vehicle": vehicle, "obstacle": furniture}
# Nearest distance to the lidar and to each other, in meters.
_CLEARANCE = {"person": 0.6, "cyclist": 1.2, "vehicle": 3.2, "obstacle": 1.0}
_TRIES = 50


def random_scene(
    rng: np.random.Generator, height: float = 1.8, reach: float = 35.0, counts: dict[str, int] | None = None
) -> Scene:
    """A scene around a lidar `height` meters above the ground; things stand apart, within `reach` meters.

    `counts` gives how many of each label; by default a random street or yard with walls and, often, a ramp.
    """
    planes = [[*rng.uniform(-0.03, 0.03, 2), -height]]
    if rng.random() < 0.5:
        slope, heading, begin = rng.uniform(0.05, 0.25), rng.uniform(-np.pi, np.pi), rng.uniform(8, 20)
        planes.append([slope * np.cos(heading), slope * np.sin(heading), -height - slope * begin])
    ground = Ground(np.array(planes))
    if counts is None:
        most = {"person": 8, "cyclist": 4, "vehicle": 7, "obstacle": 10}
        counts = {label: int(rng.integers(1, limit)) for label, limit in most.items()}
    things: list[Thing] = []
    places: list[tuple[float, float, float]] = []
    radii: list[float] = []
    for label, count in counts.items():
        for _ in range(count):
            place = _free_place(rng, reach, _CLEARANCE[label], places, radii)
            if place is None:
                continue
            things.append(_MAKERS[label](rng))
            places.append(place)
            radii.append(_CLEARANCE[label])
    for _ in range(int(rng.integers(0, 4))):
        heading, distance = rng.uniform(-np.pi, np.pi), rng.uniform(reach * 0.6, reach * 1.1)
        things.append(wall(rng.uniform(8, 30), rng.uniform(2.5, 6)))
        places.append((float(distance * np.cos(heading)), float(distance * np.sin(heading)), heading + np.pi / 2))
    return Scene(ground, tuple(things), tuple(places))


def _free_place(
    rng: np.random.Generator,
    reach: float,
    clearance: float,
    places: list[tuple[float, float, float]],
    radii: list[float],
) -> tuple[float, float, float] | None:
    for _ in range(_TRIES):
        distance, heading = rng.uniform(clearance + 1.5, reach), rng.uniform(-np.pi, np.pi)
        x, y = distance * np.cos(heading), distance * np.sin(heading)
        gaps = [
            np.hypot(x - px, y - py) - radius - clearance for (px, py, _), radius in zip(places, radii, strict=True)
        ]
        if all(gap > 0 for gap in gaps):
            return float(x), float(y), float(rng.uniform(-np.pi, np.pi))
    return None
