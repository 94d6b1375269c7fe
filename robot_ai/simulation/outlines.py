"""What ground truth needs to know of a thing's surface: its box, its hull and points all over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot_ai.geometry.transforms import Floats
from robot_ai.simulation.meshes import MeshPart
from robot_ai.simulation.sdf_types import Geometry

# Points on a surface, and directions in which its farthest points are kept.
_POINTS = 256
_DIRECTIONS = 128
_AROUND = 24
# The plastic number, the root of x**3 = x + 1.
_PLASTIC = 1.324717957244746


@dataclass(frozen=True)
class Outline:
    """low, high: (3,) corners of the box around it. hull: (128, 3) its farthest points in as many directions. surface:
    (256, 3) points all over it, evenly by area. All in meters, in one frame."""

    low: Floats
    high: Floats
    hull: Floats
    surface: Floats


def outline_of(triangles: list[Floats]) -> Outline:
    """The outline of triangles, each entry (N, 3, 3)."""
    corners = np.concatenate(triangles)
    points = corners.reshape(-1, 3)
    return Outline(points.min(axis=0), points.max(axis=0), _hull(points), _scatter(corners))


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
    """(128, 3): the farthest points in directions all around, by Fibonacci's spiral, the six axes among them."""
    steps = np.arange(_DIRECTIONS - 6) + 0.5
    heights = 1 - 2 * steps / len(steps)
    turns = np.pi * (1 + np.sqrt(5)) * steps
    flat = np.sqrt(1 - heights**2)
    spiral = np.column_stack([flat * np.cos(turns), flat * np.sin(turns), heights])
    directions = np.concatenate([np.eye(3), -np.eye(3), spiral])
    farthest: Floats = points[np.argmax(directions @ points.T, axis=1)]
    return farthest


def _scatter(corners: Floats) -> Floats:
    """Points evenly spread by area: at equal steps along the triangles' areas, within each by a sequence of low
    discrepancy (Roberts 2018, R2)."""
    edges = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.linalg.norm(np.cross(*edges), axis=1)
    if not areas.sum() > 0:
        return np.resize(corners.reshape(-1, 3), (_POINTS, 3))
    steps = np.arange(_POINTS) + 0.5
    which = np.searchsorted(np.cumsum(areas) / areas.sum(), steps / _POINTS)
    u, v = (0.5 + steps / _PLASTIC) % 1, (0.5 + steps / _PLASTIC**2) % 1
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u)[:, None], np.where(beyond, 1 - v, v)[:, None]
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
