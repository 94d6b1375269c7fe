"""The ground under a lidar, followed outwards over slopes.

The idea is Himmelsbach's (Fast segmentation of 3D point clouds for ground vehicles, IV 2010): the surroundings are cut
into sectors, each sector into rings; the lowest point of a cell is ground when the way up to it from the ring before is
no steeper than a vehicle could drive. Here all sectors take a ring at once, and a cell without ground of its own goes
on with the slope, and the neighbors', so that what stands behind an obstacle is measured from the right height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Floats = NDArray[np.float64]

SECTORS = 180
# Rings widen with the distance, as the lidar's own rings on the ground do: (_SCALE + r) / _DENSITY meters at r meters.
_SCALE = 10.0
_DENSITY = 20.0
# (4, SECTORS): the two sectors on either side of each.
_NEIGHBORS = (np.arange(SECTORS) + np.array([[-2], [-1], [1], [2]])) % SECTORS

# The plane that the growth begins with is fitted to cells within this many meters.
_NEAR = 15.0
_PLANE_TRIALS = 64
_PLANE_JUDGES = 512
_PLANE_TOLERANCE = 0.15
_PLANE_CELLS = 12


@dataclass(frozen=True)
class GroundSettings:
    """`max_slope` is rise over run; a cell's lowest point may lie `step` meters beside the slope's continuation."""

    max_slope: float = 0.3
    step: float = 0.15


def height_above_ground(points: Points, settings: GroundSettings) -> NDArray[np.float32] | None:
    """(N,): how high each of the points (N, 3) lies above the ground, in meters; None when no ground is in sight.

    The lidar is at the origin and z points up, roughly: what counts as level is the plane found around the robot.
    """
    radii = np.sqrt(points[:, 0] * points[:, 0] + points[:, 1] * points[:, 1])
    rings = (np.log1p(radii / np.float32(_SCALE)) * np.float32(_DENSITY)).astype(np.int32)
    angles = np.arctan2(points[:, 1], points[:, 0])
    sectors = ((angles + np.float32(np.pi)) * np.float32(SECTORS / (2 * np.pi))).astype(np.int32) % SECTORS
    count = int(rings.max()) + 1 if len(rings) else 0
    cells = rings * SECTORS + sectors
    lowest = np.full(count * SECTORS, np.inf, np.float32)
    np.minimum.at(lowest, cells, points[:, 2])
    at_lowest = points[:, 2] == lowest[cells]
    where = np.zeros((count * SECTORS, 2), np.float32)
    where[cells[at_lowest]] = points[at_lowest, :2]
    plane = _near_plane(where, lowest)
    if plane is None:
        return None
    heights, slopes, distances = _grow(
        np.hypot(where[:, 0], where[:, 1]).reshape(count, SECTORS).astype(np.float64),
        lowest.reshape(count, SECTORS).astype(np.float64),
        plane,
        settings,
    )
    at_middle = (heights - slopes * distances).ravel()
    ground = at_middle[cells] + slopes.ravel()[cells] * radii
    above: NDArray[np.float32] = (points[:, 2] - ground).astype(np.float32)
    return above


def _near_plane(where: NDArray[np.float32], lowest: NDArray[np.float32]) -> Floats | None:
    """The plane (a, b, c), z = a x + b y + c, that most of the nearby cells' lowest points lie on; None without one."""
    radii = np.hypot(where[:, 0], where[:, 1])
    near = np.isfinite(lowest) & (radii < _NEAR)
    seeds = np.column_stack([where[near], lowest[near]]).astype(np.float64)
    if len(seeds) < _PLANE_CELLS:
        return None
    # Always the same trials: the same cloud gives the same boxes.
    trials = np.random.default_rng(0).integers(0, len(seeds), (_PLANE_TRIALS, 3))
    corners = seeds[trials]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # Steeper than 30 degrees is no ground; neither are three points on a line.
    usable = np.abs(normals[:, 2]) > 0.87 * np.linalg.norm(normals, axis=1) + 1e-9
    if not usable.any():
        return None
    normals, corners = normals[usable], corners[usable, 0]
    gradients = -normals[:, :2] / normals[:, 2:]
    offsets = corners[:, 2] - (gradients * corners[:, :2]).sum(axis=1)
    judges = seeds[:: -(-len(seeds) // _PLANE_JUDGES)]
    residuals = judges[:, 2] - (gradients @ judges[:, :2].T + offsets[:, None])
    inliers = np.abs(residuals) < _PLANE_TOLERANCE
    # Among planes with as much support the one with least below it is the ground: a bench is not.
    support = inliers.sum(axis=1) - (residuals < -_PLANE_TOLERANCE).sum(axis=1)
    best = int(np.argmax(support))
    chosen = seeds[np.abs(seeds[:, 2] - seeds[:, :2] @ gradients[best] - offsets[best]) < _PLANE_TOLERANCE]
    if len(chosen) < _PLANE_CELLS:
        return None
    system = np.column_stack([chosen[:, :2], np.ones(len(chosen))])
    plane: Floats = np.linalg.lstsq(system, chosen[:, 2], rcond=None)[0]
    return plane


def _grow(distances: Floats, lowest: Floats, plane: Floats, settings: GroundSettings) -> tuple[Floats, Floats, Floats]:
    """Height, slope along the radius and reference distance of the ground in each cell (rings, sectors)."""
    middle = (np.arange(SECTORS) + 0.5) * (2 * np.pi / SECTORS) - np.pi
    slope: Floats = plane[0] * np.cos(middle) + plane[1] * np.sin(middle)
    level = slope.copy()
    height: Floats = np.full(SECTORS, plane[2])
    distance: Floats = np.zeros(SECTORS)
    heights, slopes, references = np.empty_like(lowest), np.empty_like(lowest), np.empty_like(lowest)
    edges = (np.expm1(np.arange(len(lowest) + 1) / _DENSITY)) * _SCALE
    for ring, (reach, low) in enumerate(zip(distances, lowest, strict=True)):
        seen = np.isfinite(low)
        at = np.where(seen, reach, (edges[ring] + edges[ring + 1]) / 2)
        run = np.maximum(at - distance, 1e-3)
        expected = height + slope * run
        # The steepest way up or down from the last ground, and no sharper bend than a kerb and a change of slope make.
        rise = np.where(seen, low - height, 0.0)
        ground = (
            seen
            & (np.abs(rise - level * run) <= settings.step + settings.max_slope * run)
            & (np.abs(np.where(seen, low, 0.0) - expected) <= settings.step + settings.max_slope / 2 * run)
        )
        taken = np.where(ground, low, expected)
        # A short run says little about the slope.
        trust = np.where(ground, np.minimum(run / 4.0, 0.5), 0.0)
        slope = slope + trust * (np.clip(rise / run, level - settings.max_slope, level + settings.max_slope) - slope)
        taken, slope = _lean_on_neighbors(taken, slope, ground)
        heights[ring], slopes[ring], references[ring] = taken, slope, at
        height, distance = taken, at
    return heights, slopes, references


def _lean_on_neighbors(height: Floats, slope: Floats, ground: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Sectors that saw no ground in this ring take the mean of those of the two on either side that did."""
    near = ground[_NEIGHBORS]
    weight = near.sum(axis=0)
    lean = ~ground & (weight > 0)
    if not lean.any():
        return height, slope
    safe = np.maximum(weight, 1)
    heights, slopes = (np.where(near, values[_NEIGHBORS], 0.0).sum(axis=0) / safe for values in (height, slope))
    return np.where(lean, heights, height), np.where(lean, slopes, slope)
