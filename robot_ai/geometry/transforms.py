"""Rigid transforms between right-handed frames, in meters.

Quaternions are worked out by hand: a node reads /tf many times a second, SciPy's Rotation takes four times as long, and
costs each process that needs no other part of SciPy 38 MB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.geometry.errors import TransformValueError

Floats = NDArray[np.float64]


def rotations(x: Any, y: Any, z: Any, w: Any) -> Floats:
    """(3, 3) for a quaternion of length one, (3, 3, N) for N of them, whose parts are (N,) each."""
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows)


@dataclass(frozen=True)
class RigidTransform:
    """Takes points of a source frame into a target frame: rotation (3, 3) and translation (3,), float64."""

    rotation: Floats
    translation: Floats

    @classmethod
    def identity(cls) -> RigidTransform:
        """Nothing changes."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_quaternion(cls, translation: Sequence[float], xyzw: Sequence[float]) -> RigidTransform:
        """From a translation and a quaternion (x, y, z, w), which need not be of length one.

        Raises TransformValueError when a number is not finite or the quaternion is zero.
        """
        offset, (x, y, z, w) = np.array(translation, float), map(float, xyzw)
        length = math.hypot(x, y, z, w)
        if not (math.isfinite(length) and math.isfinite(math.hypot(*offset))):
            raise TransformValueError(f"translation {offset} or rotation {[x, y, z, w]} is not finite")
        if length < 1e-6:
            raise TransformValueError(
                f"the quaternion {[x, y, z, w]} has no length; expected a rotation such as 0 0 0 1"
            )
        x, y, z, w = x / length, y / length, z / length, w / length
        return cls(rotations(x, y, z, w), offset)

    @property
    def quaternion(self) -> Floats:
        """(4,): x, y, z, w with w >= 0."""
        # Shepperd, Quaternion from rotation matrix, 1978: 4 q q^T follows from the matrix; any of its rows is q but for
        # length and sign, and that of the largest part is never near 0.
        (a, b, c), (d, e, f), (g, h, i) = self.rotation
        products = np.array(
            [
                [1 + a - e - i, b + d, c + g, h - f],
                [b + d, 1 - a + e - i, f + h, c - g],
                [c + g, f + h, 1 - a - e + i, d - b],
                [h - f, c - g, d - b, 1 + a + e + i],
            ]
        )
        xyzw = products[np.argmax(np.diagonal(products))]
        unit: Floats = xyzw / math.copysign(float(np.linalg.norm(xyzw)), xyzw[3])
        return unit

    @property
    def inverse(self) -> RigidTransform:
        """The way back."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation)

    def __matmul__(self, first: RigidTransform) -> RigidTransform:
        """The transform that applies `first`, then this one."""
        return RigidTransform(self.rotation @ first.rotation, self.rotation @ first.translation + self.translation)

    def apply(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Points (..., 3) of the source frame in the target frame, in the dtype they come in."""
        dtype = points.dtype
        return points @ self.rotation.T.astype(dtype) + self.translation.astype(dtype)


def interpolate(first: RigidTransform, second: RigidTransform, fraction: float) -> RigidTransform:
    """Between two transforms, as tf2 does it: straight for the translation, the shortest turn for the rotation."""
    from scipy.spatial.transform import Rotation, Slerp

    translation = first.translation + fraction * (second.translation - first.translation)
    turn = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([first.rotation, second.rotation])))
    return RigidTransform(turn([fraction]).as_matrix()[0], translation)
