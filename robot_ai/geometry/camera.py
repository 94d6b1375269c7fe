"""Points into pixels, by sensor_msgs/CameraInfo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.geometry.errors import CalibrationError

Floats = NDArray[np.float64]

# Coefficients that OpenCV's models take: k1 k2 p1 p2 [k3 [k4 k5 k6 [s1-s4 [tx ty]]]], and the fisheye's k1-k4.
_PINHOLE_COUNTS = (0, 4, 5, 8, 12, 14)
_FISHEYE_COUNT = 4
PINHOLE_MODELS = ("", "plumb_bob", "rational_polynomial")
FISHEYE_MODELS = ("equidistant", "fisheye")
# A lens that sees this far to the side, in radians, is no pinhole.
_WIDEST = np.radians(85.0)


@dataclass(frozen=True)
class CameraModel:
    """An image's geometry.

    width, height: pixels. matrix: (3, 3) K, or the left of P for a rectified image. distortion: coefficients of
    `model`, a name of sensor_msgs/distortion_models. offset: (3,) the last column of P over the matrix, in meters:
    where the optical frame's origin lies seen from the projection's center, as in the second camera of a stereo pair.

    Raises CalibrationError.
    """

    width: int
    height: int
    matrix: Floats
    distortion: Floats
    model: str = "plumb_bob"
    offset: Floats | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise CalibrationError(
                f"the image is {self.width} x {self.height} pixels; expected camera_info to say its size"
            )
        if self.matrix.shape != (3, 3) or not np.isfinite(self.matrix).all() or not self.matrix[0, 0] > 0:
            raise CalibrationError("the camera has no focal length (K is zero): it is not calibrated. Calibrate it")
        if not np.isfinite(self.distortion).all():
            raise CalibrationError("a distortion coefficient is not finite")
        counts = (0, _FISHEYE_COUNT) if self.model in FISHEYE_MODELS else _PINHOLE_COUNTS
        if self.model not in (*PINHOLE_MODELS, *FISHEYE_MODELS):
            known = ", ".join(name for name in (*PINHOLE_MODELS, *FISHEYE_MODELS) if name)
            raise CalibrationError(f"the distortion model '{self.model}' is unknown; expected one of {known}")
        if len(self.distortion) not in counts:
            raise CalibrationError(
                f"{len(self.distortion)} coefficients for the distortion model '{self.model}'; expected one of {counts}"
            )

    @classmethod
    def raw(cls, size: tuple[int, int], k: Sequence[float], d: Sequence[float], model: str) -> CameraModel:
        """The geometry of an image as the camera takes it: CameraInfo's width and height, k (9), d, distortion_model.

        Raises CalibrationError.
        """
        return cls(*size, np.asarray(k, float).reshape(3, 3), np.asarray(d, float), model)

    @classmethod
    def rectified(cls, size: tuple[int, int], p: Sequence[float]) -> CameraModel:
        """The geometry of an image_rect: CameraInfo's width and height, p (12). Raises CalibrationError."""
        full = np.asarray(p, float).reshape(3, 4)
        matrix = full[:, :3]
        solvable = np.isfinite(full).all() and abs(np.linalg.det(matrix)) > 1e-9
        offset = np.linalg.solve(matrix, full[:, 3]) if solvable else None
        return cls(*size, matrix, np.empty(0), "", offset)

    def cut(self, roi: tuple[int, int, int, int], binning: tuple[int, int]) -> CameraModel:
        """The geometry of an image that is a part of the sensor, or whose pixels are several of the sensor's.

        roi: CameraInfo's x_offset, y_offset, width, height, in pixels of the sensor; a width or height of 0 is all of
        it. binning: its binning_x, binning_y; 0 is 1.
        """
        left, top, width, height = roi
        if not (width and height):
            left, top, width, height = 0, 0, self.width, self.height
        across, down = max(binning[0], 1), max(binning[1], 1)
        if (left, top, width, height, across, down) == (0, 0, self.width, self.height, 1, 1):
            return self
        window = np.array([[1 / across, 0, -left / across], [0, 1 / down, -top / down], [0, 0, 1]])
        return replace(self, width=width // across, height=height // down, matrix=window @ self.matrix)

    def project(self, points: NDArray[np.floating]) -> tuple[Floats, NDArray[np.bool_]]:
        """Pixels (N, 2) of points (N, 3) in the optical frame (z ahead, x right, y down), and which of them (N,) are
        ahead of the camera and in reach of its distortion model; the pixels of the others mean nothing.

        Integer coordinates are the centers of pixels, as in OpenCV and CameraInfo.
        """
        shifted = np.asarray(points, float) + (0.0 if self.offset is None else self.offset)
        depth = shifted[:, 2]
        ahead = depth > 1e-3
        safe = np.where(ahead, depth, 1.0)
        rays = shifted[:, :2] / safe[:, None]
        valid = ahead & (np.hypot(rays[:, 0], rays[:, 1]) < self._reach)
        pixels = np.zeros((len(shifted), 2))
        if valid.any():
            pixels[valid] = self._distort(rays[valid])
        return pixels, valid

    def inside(self, pixels: Floats) -> NDArray[np.bool_]:
        """Which of the pixels (N, 2) lie in the image."""
        x, y = pixels[:, 0], pixels[:, 1]
        inside: NDArray[np.bool_] = (x >= -0.5) & (x < self.width - 0.5) & (y >= -0.5) & (y < self.height - 0.5)
        return inside

    def rays(self, pixels: Floats) -> Floats:
        """Directions (N, 3), z = 1, in the optical frame, that the pixels (N, 2) look in."""
        shaped = np.asarray(pixels, float).reshape(-1, 1, 2)
        if self.model in FISHEYE_MODELS:
            flat = cv2.fisheye.undistortPoints(shaped, self.matrix, self._coefficients)
        else:
            flat = cv2.undistortPoints(shaped, self.matrix, self._coefficients)
        return np.column_stack([flat.reshape(-1, 2), np.ones(len(shaped))])

    @property
    def _coefficients(self) -> Floats:
        return self.distortion if len(self.distortion) else np.zeros(_FISHEYE_COUNT)

    def _distort(self, rays: Floats) -> Floats:
        flat = np.column_stack([rays, np.ones(len(rays))]).reshape(-1, 1, 3)
        zero = np.zeros(3)
        if self.model in FISHEYE_MODELS:
            pixels, _ = cv2.fisheye.projectPoints(flat, zero, zero, self.matrix, self._coefficients)
        else:
            pixels, _ = cv2.projectPoints(flat, zero, zero, self.matrix, self._coefficients)
        return np.asarray(pixels, float).reshape(-1, 2)

    @cached_property
    def _reach(self) -> float:
        """The largest x/z up to which the distortion grows outwards.

        Beyond it a polynomial turns back, and what lies far beside the image would be drawn into its middle.
        """
        angles = np.linspace(0.0, np.radians(89.0) if self.model in FISHEYE_MODELS else _WIDEST, 500)
        radii = np.tan(angles)
        image = self._distort(np.column_stack([radii, np.zeros_like(radii)]))
        outwards = np.diff(np.hypot(*(image - self.matrix[:2, 2]).T)) > 0
        return float(radii[-1] if outwards.all() else radii[np.argmin(outwards)])
