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

_LAYERS = len(LAYERS) - 1
# Channels that say what is in a pillar; those that follow say where it is.
_VARYING = _LAYERS + 3
CHANNELS = _VARYING + 3
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
    """features: (CHANNELS, side, side) float32, a pillar's channels side by side in memory. places: (P, 2) float32, the
    middle of each pillar that holds points, in meters; ground: (P,) float32, z of the ground under it; counts: (P,)
    points that stand on it.
    """

    features: Floats
    places: Floats
    ground: Floats
    counts: NDArray[np.int64]

    def batch(self, layout: str) -> Floats:
        """The features as a network's batch of one: (1, CHANNELS, side, side), or channels last for "NHWC"."""
        features = self.features.transpose(1, 2, 0) if layout == "NHWC" else self.features
        return np.ascontiguousarray(features[None])


def encode(points: Points, above: Floats, grid: PillarGrid) -> Pillars:
    """Describes points (N, 3) around the lidar, `above` (N,) meters over the ground; order has no effect beyond
    rounding.
    """
    side, half, scale = grid.side, np.float32(grid.reach), np.float32(1 / grid.cell)
    x, y = (points[:, 0] + half) * scale, (points[:, 1] + half) * scale
    inside = (x >= 0) & (x < side) & (y >= 0) & (y < side) & (above > LAYERS[0]) & (above < LAYERS[-1])
    x, y, height, z = x[inside], y[inside], above[inside], points[inside, 2]
    column, row = x.astype(np.int32), y.astype(np.int32)
    pillar = row * side + column
    everything = np.bincount(pillar, minlength=side * side)
    held = np.flatnonzero(everything)
    # From here on only the pillars that hold something, by their place in `held`.
    places = np.empty(side * side, np.int32)
    places[held] = np.arange(len(held))
    place = places[pillar]
    described = np.zeros((len(held), _VARYING), np.float32)
    layer = np.searchsorted(LAYERS, height, side="right") - 1
    filled = np.bincount(place * _LAYERS + layer, minlength=len(held) * _LAYERS)
    described[:, :_LAYERS] = _FILLING[np.minimum(filled, _FULL)].reshape(-1, _LAYERS)
    stands = layer > 0
    over = place[stands]
    counts = np.bincount(over, minlength=len(held))
    highest = np.zeros(len(held), np.float32)
    np.maximum.at(highest, over, height[stands] * _SCALE_OF_HEIGHTS)
    described[:, _LAYERS] = highest
    for channel, offset in ((1, x - column), (2, y - row)):
        sums = np.bincount(over, offset[stands] - np.float32(0.5), minlength=len(held))
        described[:, _LAYERS + channel] = sums / np.maximum(counts, 1)
    picture = _empty(side).copy()
    picture[held, :_VARYING] = described

    ground = np.bincount(place, z - height, minlength=len(held)) / everything[held]
    middles = (np.stack([held % side, held // side], axis=1) + 0.5) * grid.cell - grid.reach
    return Pillars(
        picture.reshape(side, side, CHANNELS).transpose(2, 0, 1),
        middles.astype(np.float32),
        ground.astype(np.float32),
        counts,
    )


@lru_cache(maxsize=4)
def _empty(side: int) -> Floats:
    """(side * side, CHANNELS): pillars that hold nothing. The last three channels are each one's distance, in halves of
    the square's side, and direction x, y.
    """
    middle = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / side) - np.float32(1)
    x, y = np.meshgrid(middle, middle)
    distance = np.hypot(x, y)
    picture = np.zeros((side * side, CHANNELS), np.float32)
    picture[:, _VARYING:] = np.stack([distance, x / distance, y / distance], axis=-1).reshape(-1, 3)
    return picture
