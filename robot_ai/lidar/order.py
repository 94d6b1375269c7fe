"""Picking and sorting the rows of a cloud, faster than NumPy's plain way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 16


def stable_order(keys: NDArray[np.integer]) -> NDArray[np.intp]:
    """What `np.argsort(keys, kind="stable")` gives for keys (N,) that are not negative.

    NumPy sorts 16-bit numbers by radix and longer ones by comparing: digit by digit takes a sixth of the time for tens
    of thousands of cells.
    """
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    left = int(keys.max(initial=0)) >> _BITS
    shift = _BITS
    while left:
        digits = (keys >> shift).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
        left >>= _BITS
        shift += _BITS
    return order


def picked(rows: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`rows[mask]` of rows (N, columns): NumPy's indexing copies number by number, `compress` row by row."""
    return np.compress(mask, rows, axis=0)
