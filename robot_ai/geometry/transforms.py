"""Rigid transforms between right-handed frames, in meters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from robot_ai.geometry.errors import TransformValueError

Floats = NDArray[np.float64]


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
        # By hand: a node reads /tf many times a second, and SciPy's Rotation takes ten times as long.
        x, y, z, w = x / length, y / length, z / length, w / length
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return cls(np.array(rows), offset)

    @property
    def quaternion(self) -> Floats:
        """(4,): x, y, z, w with w >= 0."""
        xyzw: Floats = Rotation.from_matrix(self.rotation).as_quat(canonical=True)
        return xyzw

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
    translation = first.translation + fraction * (second.translation - first.translation)
    turn = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([first.rotation, second.rotation])))
    return RigidTransform(turn([fraction]).as_matrix()[0], translation)
