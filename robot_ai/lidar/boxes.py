"""Oriented boxes around clusters.

The heading comes from the search-based L-shape fit with the closeness criterion (Zhang et al., Efficient L-shape
fitting for vehicle detection using laser scanners, IV 2017), all clusters and all headings at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.order import picked, stable_order

Points = NDArray[np.float32]
Floats = NDArray[np.float32]

_HEADINGS = 45
# Closer to an edge than this, in meters, is on it: a lidar measures no better.
_ON_EDGE = 0.05
# More points than this do not make a heading better.
_SAMPLE = 128
# Headings are tried for about as many points at once: their distances stay in the processor's cache.
_PORTION = 512


@dataclass(frozen=True)
class Groups:
    """Points sorted by cluster: cluster i is points[starts[i]:starts[i] + counts[i]], and no cluster is empty."""

    points: Points
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, points: Points, labels: NDArray[np.integer]) -> Groups:
        """Sorts points (N, 3) by their labels (N,), none negative; clusters keep the order of their labels."""
        order = stable_order(labels)
        ordered = labels[order]
        first = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1)) if len(order) else np.empty(0, np.int64)
        return cls(points.take(order, axis=0), first, np.diff(first, append=len(order)))

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, which: NDArray[np.bool_]) -> Groups:
        """The clusters that the mask picks."""
        kept = np.repeat(which, self.counts)
        counts = self.counts[which]
        return Groups(picked(self.points, kept), np.cumsum(counts) - counts, counts)

    def portions(self, least: int) -> Iterator[Groups]:
        """The clusters in their order, in portions of `least` points or a cluster more."""
        ends = self.starts + self.counts
        first = 0
        while first < len(self):
            last = int(np.searchsorted(ends, self.starts[first] + least)) + 1
            begin, end = self.starts[first], ends[min(last, len(self)) - 1]
            yield Groups(self.points[begin:end], self.starts[first:last] - begin, self.counts[first:last])
            first = last

    def minimum(self, values: Floats) -> Floats:
        """Per cluster, the least of values (N, ...) that belong to the points."""
        return np.minimum.reduceat(values, self.starts, axis=0)

    def maximum(self, values: Floats) -> Floats:
        """Per cluster, the greatest of values (N, ...) that belong to the points."""
        return np.maximum.reduceat(values, self.starts, axis=0)

    def thinned(self, most: int) -> Groups:
        """At most about `most` points of each cluster, evenly over their order."""
        step = -(-self.counts // most)
        place = np.arange(len(self.points)) - np.repeat(self.starts, self.counts)
        kept = place % np.repeat(step, self.counts) == 0
        counts = -(-self.counts // step)
        return Groups(picked(self.points, kept), np.cumsum(counts) - counts, counts)


@dataclass(frozen=True)
class OrientedBoxes:
    """Boxes around clusters: centers (N, 3) and sizes (N, 3) float32 in meters, length >= width; yaws (N,) in radians,
    -pi/2 <= yaw < pi/2; `edge_gaps` (N,): median distance, in meters, of a sample of a cluster's points from its box's
    nearest side, small for what has flat sides.
    """

    centers: Floats
    sizes: Floats
    yaws: Floats
    edge_gaps: Floats


def fit_boxes(groups: Groups) -> OrientedBoxes:
    """Fits the tightest box of the best heading around each cluster of points (N, 3)."""
    if not len(groups):
        none = np.empty((0, 3), np.float32)
        return OrientedBoxes(none, none, none[:, 0], none[:, 0])
    sample = groups.thinned(_SAMPLE)
    yaws = np.concatenate([_headings(some) for some in sample.portions(_PORTION)])
    local = _along_boxes(groups, yaws)
    low, high = groups.minimum(local), groups.maximum(local)
    some, counts = _along_boxes(sample, yaws), sample.counts
    gaps = np.minimum(some - np.repeat(low, counts, axis=0), np.repeat(high, counts, axis=0) - some)
    edge_gaps = _medians(gaps[:, :2].min(axis=1), sample)
    middle, sizes = (low + high) / 2, high - low
    cos, sin = np.cos(yaws), np.sin(yaws)
    centers = np.stack(
        [middle[:, 0] * cos - middle[:, 1] * sin, middle[:, 0] * sin + middle[:, 1] * cos, middle[:, 2]], axis=1
    )
    # The longer side is the length; a heading is known up to a half turn.
    turned = sizes[:, 1] > sizes[:, 0]
    sizes[turned] = sizes[turned][:, (1, 0, 2)]
    yaws = np.where(turned, yaws - np.pi / 2, yaws)
    yaws = (yaws + np.pi / 2) % np.pi - np.pi / 2
    return OrientedBoxes(
        centers.astype(np.float32), sizes.astype(np.float32), yaws.astype(np.float32), edge_gaps.astype(np.float32)
    )


def _along_boxes(groups: Groups, yaws: Floats) -> Floats:
    """(P, 3): the points' coordinates along the axes of their cluster's box."""
    each = np.repeat(yaws, groups.counts)
    cos, sin = np.cos(each), np.sin(each)
    x, y = groups.points[:, 0], groups.points[:, 1]
    return np.stack([x * cos + y * sin, y * cos - x * sin, groups.points[:, 2]], axis=1)


def _headings(groups: Groups) -> Floats:
    """(N,) in [0, pi/2): the heading under which most points lie on the sides of the cluster's box."""
    angles = (np.arange(_HEADINGS) * (np.pi / 2 / _HEADINGS)).astype(np.float32)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    along = groups.points[:, :2] @ directions
    across = groups.points[:, :2] @ np.stack([-directions[1], directions[0]])
    gap = np.minimum(_gap_to_sides(along, groups), _gap_to_sides(across, groups))
    closeness = np.add.reduceat(1 / np.maximum(gap, np.float32(_ON_EDGE)), groups.starts, axis=0)
    return angles[np.argmax(closeness, axis=1)]


def _gap_to_sides(values: Floats, groups: Groups) -> Floats:
    """(P, headings): distance of each point's coordinate from the nearer end of its cluster's interval."""
    low = np.repeat(groups.minimum(values), groups.counts, axis=0)
    high = np.repeat(groups.maximum(values), groups.counts, axis=0)
    return np.minimum(values - low, high - values)


def _medians(values: Floats, groups: Groups) -> Floats:
    """(N,): the (lower) median of the points' values in each cluster."""
    clusters = np.repeat(np.arange(len(groups)), groups.counts)
    ordered = values[np.lexsort((values, clusters))]
    return ordered[groups.starts + (groups.counts - 1) // 2]
