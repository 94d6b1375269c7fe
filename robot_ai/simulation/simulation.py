"""A world that runs: physics in pieces between what is due, and what the sensors measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.diff_drive import DiffDrive, Odometry, drive_settings
from robot_ai.simulation.ground_truth import Observer, Present, Seen, present_around
from robot_ai.simulation.imu import Imu, ImuReading
from robot_ai.simulation.lidar import Lidar, RayCaster, Sweep
from robot_ai.simulation.noise import ImageNoise
from robot_ai.simulation.renderers import Renderer
from robot_ai.simulation.scene import MountedSensor, Scene, body_pose
from robot_ai.simulation.sdf_types import CameraSpec, ImuSpec, LidarSpec
from robot_ai.simulation.walkers import Walker, route_of

# The optical frame's axes (z ahead, x right, y down) in SDF's sensor frame (x ahead, z up).
OPTICAL = RigidTransform(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3))
# Controls and walkers change at most so often, in seconds.
_PIECE = 0.01
_MICRO = 1_000_000


@dataclass(frozen=True)
class Settings:
    """How a world runs.

    rates: Hz by sensor name, over what the world says; 0 switches a sensor off. noise: a factor on all deviations.
    image_drop, sweep_drop: chances that a whole message is lost; beam_drop: that of one beam. walking_speed in m/s.
    """

    seed: int = 0
    noise: float = 1.0
    image_drop: float = 0.0
    sweep_drop: float = 0.0
    beam_drop: float = 0.0
    walking_speed: float = 1.0
    rates: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class ImageReading:
    """(H, W, 3) uint8 RGB, with what is seen on it when that was asked for."""

    pixels: NDArray[np.uint8]
    seen: Seen | None


@dataclass(frozen=True)
class SweepReading:
    """A lidar's sweep, with what is around when that was asked for."""

    sweep: Sweep
    present: Present | None


@dataclass(frozen=True)
class DriveReading:
    """Odometry, whose frame began where the robot did."""

    odometry: Odometry


@dataclass(frozen=True)
class Reading:
    """Something measured at `time`, in nanoseconds of simulated time. sensor is None for the drive."""

    time: int
    sensor: MountedSensor | None
    value: ImageReading | SweepReading | ImuReading | DriveReading


@dataclass
class _Schedule:
    """When something is due: multiples of its period, shifted, in microseconds."""

    period: int
    due: int

    def is_due(self, now: int) -> bool:
        if now < self.due:
            return False
        self.due += self.period
        return True


@dataclass(frozen=True)
class Truth:
    """Which ground truth is wanted. labels: names by the worlds' label numbers.

    Things of fewer pixels than min_pixels, less visible than min_visibility, or with fewer lidar points than min_points
    are left out.
    """

    labels: tuple[str, ...]
    min_pixels: int = 30
    min_visibility: float = 0.1
    min_points: int = 1


class Simulation:
    """One run of a scene. Not thread-safe, but for `drive.command`."""

    def __init__(self, scene: Scene, settings: Settings) -> None:
        self.scene = scene
        self.renderer: Renderer | None = None
        """What draws for the cameras; without one they see nothing. Belongs to the thread that calls `advance`."""
        self._settings = settings
        self.data = mujoco.MjData(scene.model)
        # Each its own, so that what one sensor draws does not depend on whether another is listened to.
        self._rngs: dict[str, np.random.Generator] = {}
        self._step_micros = round(scene.world.time_step * _MICRO)
        self._steps = 0
        self._observers: dict[tuple[str, ...], Observer] = {}
        self.drops: dict[str, int] = {}
        caster = RayCaster(scene)
        self._walkers = self._make_walkers()
        self.drive = self._make_drive()
        self._wheels: tuple[list[int], list[int]] = ([], [])
        self._actuators: tuple[list[int], list[int]] = ([], [])
        self._find_wheels()
        self._lidars: dict[str, Lidar] = {}
        self._imus: dict[str, Imu] = {}
        self._noise: dict[str, ImageNoise] = {}
        self._schedules: list[tuple[MountedSensor | None, _Schedule]] = []
        for mounted in scene.sensors:
            self._install(mounted, caster)
        if self.drive is not None:
            period = round(_MICRO / self.drive.settings.odometry_rate)
            self._schedules.append((None, _Schedule(period, period)))
        self._place_walkers()
        mujoco.mj_forward(scene.model, self.data)

    @property
    def time(self) -> int:
        """Simulated time in nanoseconds."""
        return self._steps * self._step_micros * 1000

    def sensor_pose(self, mounted: MountedSensor) -> RigidTransform:
        """Takes points of the frame of a sensor's messages into the world; for cameras the optical frame."""
        pose = body_pose(self.data, mounted.body) @ mounted.pose
        return pose @ OPTICAL if isinstance(mounted.sensor.spec, CameraSpec) else pose

    def advance(
        self,
        seconds: float,
        truth: Callable[[MountedSensor], Truth | None] = lambda _: None,
        wanted: Callable[[MountedSensor], bool] = lambda _: True,
    ) -> Iterator[Reading]:
        """Runs so much simulated time, in pieces of at most 10 ms, and hands out what is measured on the way.

        truth, wanted: asked when a sensor is due: which ground truth goes with it, and whether it is looked at.
        """
        end = self._steps * self._step_micros + round(seconds * _MICRO)
        while True:
            now = self._steps * self._step_micros
            if now >= end:
                return
            upcoming = min([end, now + round(_PIECE * _MICRO), *(schedule.due for _, schedule in self._schedules)])
            self._run(max(1, math.ceil((upcoming - now) / self._step_micros)))
            now = self._steps * self._step_micros
            for mounted, schedule in self._schedules:
                if schedule.is_due(now) and (mounted is None or wanted(mounted)):
                    value = self._measure(mounted, schedule, None if mounted is None else truth(mounted))
                    if value is not None:
                        yield Reading(self.time, mounted, value)

    def _run(self, steps: int) -> None:
        seconds = steps * self._step_micros / _MICRO
        if self.drive is not None:
            speeds = self.drive.step(seconds)
            for actuators, speed in zip(self._actuators, speeds, strict=True):
                self.data.ctrl[actuators] = speed
        for walker, _ in self._walkers:
            walker.step(seconds)
        self._place_walkers()
        mujoco.mj_step(self.scene.model, self.data, steps)
        self._steps += steps

    def _measure(
        self, mounted: MountedSensor | None, schedule: _Schedule, truth: Truth | None
    ) -> ImageReading | SweepReading | ImuReading | DriveReading | None:
        if mounted is None:
            return DriveReading(self._measure_drive(schedule.period / _MICRO))
        spec, key = mounted.sensor.spec, _key(mounted)
        rng = self._rngs[key]
        if isinstance(spec, ImuSpec):
            return self._imus[key].read(self.data, rng, self._settings.noise)
        chance = self._settings.image_drop if isinstance(spec, CameraSpec) else self._settings.sweep_drop
        if chance and rng.random() < chance:
            self.drops[key] = self.drops.get(key, 0) + 1
            return None
        # The last step's positions are one step behind the state; sensors look at the state.
        mujoco.mj_kinematics(self.scene.model, self.data)
        mujoco.mj_camlight(self.scene.model, self.data)
        if isinstance(spec, CameraSpec):
            return None if self.renderer is None else self._look(self.renderer, mounted, spec, truth)
        return self._sweep(mounted, spec, truth)

    def _look(self, renderer: Renderer, mounted: MountedSensor, spec: CameraSpec, truth: Truth | None) -> ImageReading:
        pixels = renderer.render(self.data, mounted.camera, spec.width, spec.height)
        seen = None
        if truth is not None:
            observer = self._observer(truth.labels)
            image = renderer.segment(self.data, mounted.camera, spec.width, spec.height, observer.numbers)
            optical = self.sensor_pose(mounted)
            seen = observer.seen(
                self.data, image, spec, optical, min_pixels=truth.min_pixels, min_visibility=truth.min_visibility
            )
        return ImageReading(self._noise[_key(mounted)].add(pixels, self._rngs[_key(mounted)]), seen)

    def _observer(self, labels: tuple[str, ...]) -> Observer:
        if labels not in self._observers:
            self._observers[labels] = Observer(self.scene, labels)
        return self._observers[labels]

    def _sweep(self, mounted: MountedSensor, spec: LidarSpec, truth: Truth | None) -> SweepReading:
        settings = self._settings
        sweep = self._lidars[_key(mounted)].sweep(
            self.data, self._rngs[_key(mounted)], settings.noise, settings.beam_drop
        )
        if truth is None:
            return SweepReading(sweep, None)
        counts = np.bincount(sweep.things[sweep.things >= 0], minlength=len(self.scene.things))
        hit = np.flatnonzero(counts >= truth.min_points).tolist()
        frame = self.sensor_pose(mounted)
        present = present_around(self.scene, self.data, frame, truth.labels, reach=spec.max_range, things=hit)
        return SweepReading(sweep, present)

    def _measure_drive(self, seconds: float) -> Odometry:
        assert self.drive is not None, "the drive is scheduled only where there is one"
        left, right = (float(np.mean(self.data.qpos[wheels])) for wheels in self._wheels)
        return self.drive.measure(left, right, seconds)

    def _install(self, mounted: MountedSensor, caster: RayCaster) -> None:
        spec, key = mounted.sensor.spec, _key(mounted)
        rate = dict(self._settings.rates).get(mounted.sensor.name, mounted.sensor.rate)
        if rate <= 0:
            return
        rng = self._rngs[key] = np.random.default_rng([self._settings.seed, len(self._rngs)])
        if isinstance(spec, LidarSpec):
            self._lidars[key] = Lidar(self.scene, mounted, caster)
        elif isinstance(spec, ImuSpec):
            self._imus[key] = Imu(self.scene, mounted)
        else:
            self._noise[key] = ImageNoise(spec.noise * self._settings.noise, rng)
        period = round(_MICRO / rate)
        # Costly sensors take turns, so that no piece of simulated time carries all of them.
        turn = len(self._schedules) % 4 * period // 4 if not isinstance(spec, ImuSpec) else 0
        self._schedules.append((mounted, _Schedule(period, period + turn)))

    def _make_walkers(self) -> list[tuple[Walker, list[tuple[int, RigidTransform]]]]:
        """Walkers, each with the mocap slots of its links and their poses in the model."""
        walkers = []
        for model in self.scene.placed:
            route = route_of(model)
            if route is None:
                continue
            slots = [
                (int(self.scene.model.body_mocapid[self.scene.bodies[model.name, link.name]]), link.pose)
                for link in model.links
            ]
            moved = [(slot, pose) for slot, pose in slots if slot >= 0]
            walkers.append((Walker(model.pose, route, self._settings.walking_speed), moved))
        return walkers

    def _place_walkers(self) -> None:
        for walker, slots in self._walkers:
            for slot, pose in slots:
                here = walker.pose @ pose
                x, y, z, w = here.quaternion
                self.data.mocap_pos[slot] = here.translation
                self.data.mocap_quat[slot] = (w, x, y, z)

    def _make_drive(self) -> DiffDrive | None:
        found = (drive_settings(model) for model in self.scene.placed)
        settings = next((each for each in found if each is not None), None)
        return None if settings is None else DiffDrive(settings)

    def _find_wheels(self) -> None:
        if self.drive is None:
            return
        settings, model = self.drive.settings, self.scene.model
        for side, names in enumerate((settings.left_joints, settings.right_joints)):
            for name in names:
                full = f"{settings.model}/{name}"
                self._wheels[side].append(int(model.joint(full).qposadr[0]))
                self._actuators[side].append(int(model.actuator(full).id))


def _key(mounted: MountedSensor) -> str:
    return f"{mounted.model}/{mounted.link}/{mounted.sensor.name}"


def label_names(labels: tuple[str, ...], scene: Scene) -> list[str]:
    """Notes on things whose label number has no name: they are in no ground truth."""
    return [
        f"the model '{thing.name}' has the label {thing.label}; labels end at {len(labels) - 1}"
        for thing in scene.things
        if thing.label >= len(labels)
    ]
