"""Clouds as pictures from above: what the learned detector's network is given.

Each square of the ground is a pillar, described by fixed features (after PIXOR, Yang et al., CVPR 2018) instead of
PointPillars' learned ones (Lang et al., CVPR 2019): no framework takes part, and all backends are given the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.filters import Points

Floats = NDArray[np.float32]

# Edges of the layers, in meters above the ground, in which points are counted. The first is the ground itself.
LAYERS = np.array([-0.3, 0.15, 0.4, 0.7, 1.0, 1.3, 1.6, 1.9, 2.4, 3.5], np.float32)
_SCALE_OF_HEIGHTS = np.float32(1 / 3.0)
# Sixteen points in a layer of a pillar are as many as any more.
_FULL = 16
_FILLING = (np.log1p(np.arange(_FULL + 1)) / np.log1p(_FULL)).astype(np.float32)

CHANNELS = len(LAYERS) - 1 + 6
"""Layers, highest point, mean place within the pillar (x, y), and the pillar's own distance and direction (x, y)."""


@dataclass(frozen=True)
class PillarGrid:
    """A square of `side` by `side` pillars of `cell` meters, with the lidar in the middle.

    Rows go along y, columns along x, both ascending: pillar (row, column) begins at ((column - side / 2) * cell,
    (row - side / 2) * cell).
    """

    side: int
    cell: float

    @property
    def reach(self) -> float:
        """Meters from the middle to an edge."""
        return self.side * self.cell / 2


@dataclass(frozen=True)
class Pillars:
    """features: (CHANNELS, side, side) float32. places: (P, 2) float32, the middle of each pillar that holds points,
    in meters; ground: (P,) float32, z of the ground under it; counts: (P,) points that stand on it.
    """

    features: Floats
    places: Floats
    ground: Floats
    counts: NDArray[np.int64]


def encode(points: Points, above: Floats, grid: PillarGrid) -> Pillars:
    """Describes points (N, 3) around the lidar, `above` (N,) meters over the ground; order has no effect beyond
    rounding.
    """
    side, cells = grid.side, grid.side * grid.side
    at = (points[:, :2] + np.float32(grid.reach)) * np.float32(1 / grid.cell)
    inside = (at >= 0).all(axis=1) & (at < side).all(axis=1) & (above > LAYERS[0]) & (above < LAYERS[-1])
    at, height, z = at[inside], above[inside], points[inside, 2]
    corner = at.astype(np.int32)
    pillar = corner[:, 1] * side + corner[:, 0]
    layer = np.searchsorted(LAYERS, height, side="right") - 1
    filled = np.bincount(layer * cells + pillar, minlength=(len(LAYERS) - 1) * cells)

    features = np.zeros((CHANNELS, cells), np.float32)
    layers = len(LAYERS) - 1
    features[:layers] = _FILLING[np.minimum(filled, _FULL)].reshape(layers, cells)
    stands = layer > 0
    over = pillar[stands]
    counts = np.bincount(over, minlength=cells)
    np.maximum.at(features[layers], over, height[stands] * _SCALE_OF_HEIGHTS)
    within = at[stands] - corner[stands] - np.float32(0.5)
    for axis in (0, 1):
        sums = np.bincount(over, within[:, axis], minlength=cells)
        features[layers + 1 + axis] = sums / np.maximum(counts, 1)
    picture = features.reshape(CHANNELS, side, side)
    picture[layers + 3 :] = _surroundings(side)

    everything = np.bincount(pillar, minlength=cells)
    ground = np.bincount(pillar, z - height, minlength=cells)
    held = np.flatnonzero(everything)
    places = (np.stack([held % side, held // side], axis=1) + 0.5) * grid.cell - grid.reach
    return Pillars(
        picture,
        places.astype(np.float32),
        (ground[held] / everything[held]).astype(np.float32),
        counts[held],
    )


@lru_cache(maxsize=4)
def _surroundings(side: int) -> Floats:
    """(3, side, side): distance in halves of the square's side, and direction x, y, of each pillar."""
    middle = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / side) - np.float32(1)
    x, y = np.meshgrid(middle, middle)
    distance = np.hypot(x, y)
    return np.stack([distance, x / distance, y / distance])
