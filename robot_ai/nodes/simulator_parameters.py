"""The parameters of simulator. docs/parameters.md is generated from here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import parameter
from robot_ai.simulation.quality import Quality

RENDERERS = ("auto", "egl", "osmesa", "rays")
_QUALITY = Quality()


@dataclass(frozen=True)
class SimulatorParameters:
    """A consistent set of values."""

    world: str = parameter("room", "an SDF world: its file, or its name in worlds/")
    robot: str = parameter(
        "model://robot", "model that is put into a world that has no robot of its own (no DiffDrive); empty: none"
    )
    robot_pose: str = parameter("", "where the robot starts: x y yaw, in meters and radians; empty: as the world says")
    real_time_factor: float = parameter(
        1.0, "simulated over real time; 0: as fast as it can", minimum=0.0, maximum=100.0
    )
    seed: int = parameter(0, "of all that is random; equal seeds give equal noise", minimum=0, maximum=2**31 - 1)
    renderer: str = parameter(
        "auto", "what draws images; auto: egl, else osmesa, else rays, whichever works here", choices=RENDERERS
    )
    shadow_size: int = parameter(
        _QUALITY.shadow_size,
        "edge of the shadow map, in pixels, such as 2048; 0: no shadows, which without a GPU triple an image's cost",
        minimum=0,
        maximum=8192,
    )
    antialiasing: int = parameter(
        0, "samples per pixel, with egl; 4 cost as much as the rest of the image without a GPU", minimum=0, maximum=16
    )
    mesh_detail: float = parameter(
        _QUALITY.detail, "details of meshes smaller than this, in meters, are neither drawn nor scanned; 0: all are",
        minimum=0.0, maximum=0.1,
    )  # fmt: skip
    noise: float = parameter(1.0, "factor on all the sensors' deviations; 0: none", minimum=0.0, maximum=100.0)
    camera_rate: float = parameter(0.0, "images per second; 0: as the world says", minimum=0.0, maximum=1000.0)
    lidar_rate: float = parameter(
        0.0, "sweeps of 3D lidars per second; 0: as the world says", minimum=0.0, maximum=1000.0
    )
    scan_rate: float = parameter(
        0.0, "sweeps of 2D lidars per second; 0: as the world says", minimum=0.0, maximum=1000.0
    )
    imu_rate: float = parameter(0.0, "IMU messages per second; 0: as the world says", minimum=0.0, maximum=1000.0)
    image_drop: float = parameter(0.0, "chance that an image is lost", minimum=0.0, maximum=1.0)
    sweep_drop: float = parameter(0.0, "chance that a lidar's sweep is lost", minimum=0.0, maximum=1.0)
    beam_drop: float = parameter(0.0, "chance that a lidar's beam is lost", minimum=0.0, maximum=1.0)
    walking_speed: float = parameter(0.8, "of people that walk, in m/s", minimum=0.01, maximum=10.0)
    clock_rate: float = parameter(
        100.0, "messages on /clock per simulated second, at least", minimum=1.0, maximum=1000.0
    )
    labels: str = parameter("nanodet_g", "model card whose classes the label numbers of the world mean")
    min_pixels: int = parameter(
        30, "things that show fewer pixels are in no ground truth", minimum=1, maximum=1_000_000, while_running=True
    )
    min_visibility: float = parameter(
        0.1, "things of which a smaller share is visible are in no ground truth in 2D", minimum=0.0, maximum=1.0,
        while_running=True,
    )  # fmt: skip
    min_points: int = parameter(
        1, "things with fewer lidar points are in no ground truth in 3D", minimum=0, maximum=1_000_000,
        while_running=True,
    )  # fmt: skip
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", read_only=True)

    @property
    def quality(self) -> Quality:
        """The part that images are made with."""
        return Quality(self.shadow_size, self.antialiasing, self.mesh_detail)

    @property
    def start(self) -> tuple[float, float, float] | None:
        """robot_pose as numbers. Raises ParameterError."""
        if not self.robot_pose.strip():
            return None
        try:
            x, y, yaw = (float(word) for word in self.robot_pose.replace(",", " ").split())
        except ValueError:
            x = y = yaw = math.nan
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(yaw)):
            raise ParameterError(f"robot_pose is '{self.robot_pose}'; expected x y yaw, such as '1.5 0 3.14'")
        return x, y, yaw

    def check(self) -> None:
        """Raises ParameterError for values that no range can express."""
        _ = self.start
        if not self.world.strip():
            raise ParameterError("world is empty; expected an SDF file or a name in worlds/, such as room")
