"""Arithmetic of axis-aligned boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def intersection_over_union(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """(N, M) float64: the IoU of every box of `first` (N, 4) with every box of `second` (M, 4), as xyxy.

    0 where neither has an area.
    """
    a, b = first.astype(np.float64)[:, np.newaxis], second.astype(np.float64)[np.newaxis]
    extent = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(extent, 0, None).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (a, b)]
    union = areas[0] + areas[1] - shared
    overlaps: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps
