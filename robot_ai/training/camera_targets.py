"""Which cells of NanoDet's grids are to find which box.

Adaptive Training Sample Selection (Zhang et al., 2020, arXiv:1912.02424), as NanoDet was trained with: of the cells
nearest to a box's middle, those whose anchor overlaps it more than the mean and one standard deviation of all of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.models.networks import nanodet_plan as plan
from robot_ai.perception.boxes import intersection_over_union

# Upstream's configuration: candidates per stride, and the side of a cell's anchor in strides.
_NEAREST, _ANCHOR = 9, 5
BACKGROUND, IGNORED = -1, -2


@dataclass(frozen=True)
class Targets:
    """labels: (N,) int64 class of each cell, BACKGROUND or IGNORED. boxes: (N, 4) float32 xyxy in input pixels."""

    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]


def cells(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centers (N, 2) in pixels and strides (N,) of all cells of a square input, stride by stride, rows first."""
    centers, strides = [], []
    for stride in plan.STRIDES:
        steps = (np.arange(side // stride, dtype=np.float32) + 0.5) * stride
        x, y = np.meshgrid(steps, steps)
        centers.append(np.column_stack([x.ravel(), y.ravel()]))
        strides.append(np.full(x.size, stride, np.float32))
    return np.concatenate(centers), np.concatenate(strides)


def assign(
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    ignored: NDArray[np.float32],
    centers: NDArray[np.float32],
    strides: NDArray[np.float32],
) -> Targets:
    """boxes (M, 4) xyxy with labels (M,); the background within `ignored` (K, 4) is neither right nor wrong."""
    found = np.full(len(centers), BACKGROUND, np.int64)
    given = np.zeros((len(centers), 4), np.float32)
    found[_inside(centers, ignored).any(axis=1)] = IGNORED
    if not len(boxes):
        return Targets(found, given)
    half = _ANCHOR * strides[:, None] / 2
    ious = intersection_over_union(np.hstack([centers - half, centers + half]), boxes)
    apart = np.linalg.norm(centers[:, None] - (boxes[:, :2] + boxes[:, 2:])[None] / 2, axis=2)
    is_candidate = np.zeros(ious.shape, bool)
    for stride in plan.STRIDES:
        level = np.flatnonzero(strides == stride)
        nearest = level[np.argsort(apart[level], axis=0, kind="stable")[:_NEAREST]]
        np.put_along_axis(is_candidate, nearest, values=True, axis=0)
    candidates: Any = np.ma.masked_array(ious, ~is_candidate)
    least = np.asarray(candidates.mean(axis=0) + candidates.std(axis=0, ddof=1))
    fits = np.where(is_candidate & (ious >= least) & _inside(centers, boxes), ious, -1.0)
    best = fits.argmax(axis=1)
    positive = fits[np.arange(len(fits)), best] >= 0
    found[positive] = labels[best[positive]]
    given[positive] = boxes[best[positive]]
    return Targets(found, given)


def _inside(points: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, M): whether points (N, 2) lie inside boxes (M, 4)."""
    low, high = boxes[None, :, :2], boxes[None, :, 2:]
    return np.asarray(((points[:, None] > low) & (points[:, None] < high)).all(axis=2))
