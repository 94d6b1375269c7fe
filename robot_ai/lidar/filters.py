"""What is taken out of a cloud before anything is looked for: ranges, regions, the robot itself, and density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.errors import RegionError
from robot_ai.lidar.order import stable_order

Points = NDArray[np.float32]
Mask = NDArray[np.bool_]

UNBOUNDED = (-np.inf, np.inf)


@dataclass(frozen=True)
class Region:
    """An axis-aligned box: (minimum, maximum) of each axis in meters; infinite bounds leave a side open.

    Raises RegionError when a bound is NaN or a minimum exceeds its maximum.
    """

    x: tuple[float, float] = UNBOUNDED
    y: tuple[float, float] = UNBOUNDED
    z: tuple[float, float] = UNBOUNDED

    def __post_init__(self) -> None:
        for name, (low, high) in (("x", self.x), ("y", self.y), ("z", self.z)):
            if not low <= high:
                raise RegionError(f"the region's {name} runs from {low} to {high}; expected minimum <= maximum")

    @classmethod
    def parse(cls, text: str) -> Region:
        """Reads six numbers `x_min x_max y_min y_max z_min z_max`, with blanks or commas; `inf` is a number here.

        Raises RegionError.
        """
        words = text.replace(",", " ").split()
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = []
        if len(numbers) != 6:
            raise RegionError(f"'{text}' is no region; expected six numbers: x_min x_max y_min y_max z_min z_max")
        return cls((numbers[0], numbers[1]), (numbers[2], numbers[3]), (numbers[4], numbers[5]))

    def contains(self, points: Points) -> Mask:
        """(N,): whether each of the points (N, 3) lies within, bounds included."""
        inside = np.ones(len(points), np.bool_)
        for axis, (low, high) in enumerate((self.x, self.y, self.z)):
            if low > -np.inf:
                inside &= points[:, axis] >= low
            if high < np.inf:
                inside &= points[:, axis] <= high
        return inside


def squared_ranges(points: Points) -> NDArray[np.float32]:
    """(N,): squared distance of points (N, 3) from the vertical axis through the origin, in square meters; infinite
    where float32 does not hold it.
    """
    with np.errstate(over="ignore"):
        return points[:, 0] * points[:, 0] + points[:, 1] * points[:, 1]


def within_range(points: Points, minimum: float, maximum: float) -> Mask:
    """(N,): whether points (N, 3) are `minimum` to `maximum` meters from the vertical axis through the origin."""
    squared = squared_ranges(points)
    inside: Mask = (squared >= minimum * minimum) & (squared <= maximum * maximum)
    return inside


@dataclass(frozen=True)
class Voxels:
    """A cloud thinned to one point per cube.

    points: (M, 3) float32, the mean of the points in each cube.
    of_point: (N,) int64, the cube of each point of the cloud.
    """

    points: Points
    of_point: NDArray[np.int64]


def voxelize(points: Points, edge: float) -> Voxels:
    """Thins points (N, 3), N > 0, with cubes of `edge` meters aligned to the origin; the order of points has no effect
    beyond rounding.
    """
    keys = np.zeros(len(points), np.int64)
    for axis in range(3):
        cells = np.floor(points[:, axis] * np.float32(1 / edge)).astype(np.int64)
        cells -= cells.min()
        keys *= int(cells.max()) + 1
        keys += cells
    order = stable_order(keys)
    ordered = keys[order]
    first = np.empty(len(keys), np.bool_)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    counts = np.diff(starts, append=len(keys))
    of_point = np.empty(len(keys), np.int64)
    of_point[order] = np.cumsum(first) - 1
    means = np.stack([np.bincount(of_point, points[:, axis]) / counts for axis in range(3)], axis=1)
    return Voxels(means.astype(np.float32), of_point)
