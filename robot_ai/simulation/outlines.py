"""What ground truth needs to know of a thing's surface: its box, its hull and points all over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from robot_ai.geometry.transforms import Floats
from robot_ai.simulation.meshes import MeshPart
from robot_ai.simulation.sdf_types import Geometry

_POINTS = 600
_AROUND = 24


@dataclass(frozen=True)
class Outline:
    """low, high: (3,) corners of the box around it. hull: (H, 3) what spans it. surface: (K, 3) points all over it,
    evenly by area. All in meters, in one frame."""

    low: Floats
    high: Floats
    hull: Floats
    surface: Floats


def outline_of(triangles: list[Floats], seed: int = 0) -> Outline:
    """The outline of triangles, each entry (N, 3, 3)."""
    corners = np.concatenate(triangles)
    points = corners.reshape(-1, 3)
    return Outline(points.min(axis=0), points.max(axis=0), _hull(points), _scatter(corners, seed))


def part_triangles(part: MeshPart) -> Floats:
    """(N, 3, 3) float64."""
    corners: Floats = part.vertices.astype(np.float64)[part.faces]
    return corners


def primitive_triangles(geometry: Geometry) -> Floats:
    """(N, 3, 3): a primitive of SDF in its own frame, round ones with 24 sides."""
    if geometry.kind == "box":
        return _box(np.array(geometry.size) / 2)
    if geometry.kind == "sphere":
        return _ball(np.full(3, geometry.size[0]), 0.0)
    if geometry.kind == "ellipsoid":
        return _ball(np.array(geometry.size), 0.0)
    if geometry.kind == "capsule":
        return _ball(np.full(3, geometry.size[0]), geometry.size[1] / 2)
    if geometry.kind == "cylinder":
        return _cylinder(geometry.size[0], geometry.size[1] / 2)
    return _box(np.array([geometry.size[0] / 2, geometry.size[1] / 2, 1e-4]))


def _hull(points: Floats) -> Floats:
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:  # flat things have no hull in three dimensions
        return np.unique(points, axis=0)[:: max(1, len(points) // 1000)]


def _scatter(corners: Floats, seed: int) -> Floats:
    edges = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.linalg.norm(np.cross(*edges), axis=1)
    if not areas.sum() > 0:
        return corners.reshape(-1, 3)[:_POINTS]
    rng = np.random.default_rng(seed)
    which = rng.choice(len(corners), _POINTS, p=areas / areas.sum())
    u, v = rng.random((2, _POINTS, 1))
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    spread: Floats = corners[which, 0] + u * edges[0][which] + v * edges[1][which]
    return spread


def _box(half: Floats) -> Floats:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [triangle for a, b, c, d in sides for triangle in ((a, b, c), (a, c, d))]
    return (signs * half)[np.array(faces)]


def _grid_faces(rows: int, columns: int) -> list[tuple[int, int, int]]:
    faces = []
    for row in range(rows - 1):
        for column in range(columns):
            a, b = row * columns + column, row * columns + (column + 1) % columns
            faces += [(a, b, a + columns), (b, b + columns, a + columns)]
    return faces


def _ball(radii: Floats, stretch: float) -> Floats:
    """An ellipsoid, its halves moved apart by `stretch` each along z."""
    around = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    upper = np.linspace(np.pi / 2, 0, _AROUND // 4 + 1)
    heights = np.concatenate([upper, -upper[::-1]])
    shifts = np.repeat([stretch, -stretch], len(upper))
    points = np.stack(
        [
            np.outer(np.cos(heights), np.cos(around)) * radii[0],
            np.outer(np.cos(heights), np.sin(around)) * radii[1],
            np.repeat((np.sin(heights) * radii[2] + shifts)[:, None], _AROUND, axis=1),
        ],
        axis=-1,
    )
    return points.reshape(-1, 3)[np.array(_grid_faces(len(heights), _AROUND))]


def _cylinder(radius: float, half: float) -> Floats:
    around = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    ring = np.stack([np.cos(around) * radius, np.sin(around) * radius], axis=-1)
    levels = [(0.0, half), (1.0, half), (1.0, -half), (0.0, -half)]
    points = np.concatenate([np.column_stack([ring * share, np.full(_AROUND, z)]) for share, z in levels])
    return points[np.array(_grid_faces(4, _AROUND))]
