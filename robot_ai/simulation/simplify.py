"""Meshes with no more triangles than a camera can tell apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Vertices whose texture coordinates differ by more are not joined, so that seams stay where they are.
_UV_CELL = 1 / 16


def merge_near_vertices(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], uv: NDArray[np.float32] | None, cell: float
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float32] | None]:
    """Joins the vertices (N, 3) in each cube of edge `cell`, in meters, into their middle, and drops the faces (M, 3)
    that collapse or come twice: vertex clustering, Rossignac and Borrel 1993. `cell` 0 only drops what comes twice.

    Models of people give each triangle twice, once for each side; the one that comes first stays.
    """
    cells = np.round(vertices / max(cell, 1e-9)).astype(np.int64)
    keys = cells if uv is None else np.column_stack([cells, np.round(uv / _UV_CELL).astype(np.int64)])
    _, members = np.unique(keys, axis=0, return_inverse=True)
    members = members.ravel()
    counts = np.bincount(members)
    middles = np.column_stack([np.bincount(members, vertices[:, axis]) / counts for axis in range(3)])
    joined = members[faces]
    whole = (joined[:, 0] != joined[:, 1]) & (joined[:, 1] != joined[:, 2]) & (joined[:, 2] != joined[:, 0])
    joined = joined[whole]
    _, first = np.unique(np.sort(joined, axis=1), axis=0, return_index=True)
    joined = joined[np.sort(first)]
    used, compact = np.unique(joined, return_inverse=True)
    merged_uv = None
    if uv is not None:
        merged_uv = np.column_stack([np.bincount(members, uv[:, axis]) / counts for axis in range(2)])[used]
    return (
        middles[used],
        compact.reshape(-1, 3).astype(np.int32),
        None if merged_uv is None else merged_uv.astype(np.float32),
    )
