"""An IMU from the engine's own sensors, with noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.simulation.scene import MountedSensor, Scene
from robot_ai.simulation.sdf_types import ImuSpec


@dataclass(frozen=True)
class ImuReading:
    """In the sensor's frame: quaternion x, y, z, w relative to the pose at the start as Gazebo gives it, rad/s, m/s²
    (at rest the reaction to gravity)."""

    orientation: NDArray[np.float64]
    angular_velocity: NDArray[np.float64]
    linear_acceleration: NDArray[np.float64]


class Imu:
    """One IMU."""

    def __init__(self, scene: Scene, mounted: MountedSensor) -> None:
        spec = mounted.sensor.spec
        assert isinstance(spec, ImuSpec), "only IMUs are read here"
        self.spec = spec
        self.mounted = mounted
        name = f"{mounted.model}/{mounted.link}/{mounted.sensor.name}"
        model = scene.model
        self._addresses = [int(model.sensor(f"{kind}:{name}").adr[0]) for kind in ("gyro", "accelerometer")]
        self._quaternion = int(model.sensor(f"orientation:{name}").adr[0])
        self._start: NDArray[np.float64] | None = None

    def read(self, data: Any, rng: np.random.Generator, noise: float) -> ImuReading:
        """What it measures now; `noise` scales the deviations."""
        gyro, accelerometer = (data.sensordata[start : start + 3].copy() for start in self._addresses)
        gyro += rng.normal(size=3) * np.array(self.spec.gyro_noise) * noise
        accelerometer += rng.normal(size=3) * np.array(self.spec.accelerometer_noise) * noise
        now = data.sensordata[self._quaternion : self._quaternion + 4].copy()
        if self._start is None:
            self._start = now
        w, x, y, z = _product(_conjugate(self._start), now)
        return ImuReading(np.array([x, y, z, w]), gyro, accelerometer)


def _conjugate(wxyz: NDArray[np.float64]) -> NDArray[np.float64]:
    return wxyz * np.array([1.0, -1.0, -1.0, -1.0])


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hamilton's product of quaternions w, x, y, z."""
    w = a[0] * b[0] - a[1:] @ b[1:]
    return np.array([w, *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])
