"""What an SDF file says, as plain values: lengths in meters, angles in radians, names as written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from robot_ai.simulation.sdf_element import RawPose, SdfElement

Color = tuple[float, float, float, float]


@dataclass(frozen=True)
class Geometry:
    """kind: box, sphere, cylinder, capsule, ellipsoid, plane or mesh.

    size: box x y z; sphere r; cylinder and capsule r and length; ellipsoid its radii; plane x y; mesh its scale x y z.
    normal: of a plane. mesh: the file. where: file and element, for messages.
    """

    kind: str
    size: tuple[float, ...]
    where: str
    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    mesh: Path | None = None


@dataclass(frozen=True)
class Material:
    """Colors as RGBA in 0-1; `texture` is an image file."""

    diffuse: Color
    specular: float
    emission: float
    texture: Path | None = None


@dataclass(frozen=True)
class Shape:
    """A visual or a collision. friction and laser_retro belong to one of the two each."""

    name: str
    pose: RawPose
    geometry: Geometry
    material: Material | None = None
    friction: float = 1.0
    laser_retro: float | None = None
    transparency: float = 0.0
    cast_shadows: bool = True


@dataclass(frozen=True)
class Inertial:
    """mass in kg; inertia: xx, yy, zz, xy, xz, yz in kg m² about the center of mass."""

    pose: RawPose
    mass: float
    inertia: tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Light:
    """kind: directional, point or spot. attenuation: constant, linear, quadratic. cutoff: a spot's outer half angle."""

    name: str
    kind: str
    pose: RawPose
    direction: tuple[float, float, float]
    diffuse: Color
    specular: Color
    attenuation: tuple[float, float, float]
    range: float
    cutoff: float
    cast_shadows: bool
    intensity: float


@dataclass(frozen=True)
class CameraSpec:
    """An ideal camera. focal and center in pixels, where integer coordinates are the centers of pixels; noise: the
    standard deviation in shares of full brightness."""

    width: int
    height: int
    focal: tuple[float, float]
    center: tuple[float, float]
    near: float
    far: float
    noise: float
    optical_frame: str


@dataclass(frozen=True)
class LidarSpec:
    """Beams in a grid: columns over the horizontal angles, rings over the vertical ones, both ends included.

    noise: standard deviation of ranges, in meters.
    """

    columns: int
    min_angle: float
    max_angle: float
    rings: int
    min_elevation: float
    max_elevation: float
    min_range: float
    max_range: float
    noise: float


@dataclass(frozen=True)
class ImuSpec:
    """Standard deviations per axis x, y, z: of rates in rad/s, of accelerations in m/s²."""

    gyro_noise: tuple[float, float, float]
    accelerometer_noise: tuple[float, float, float]


@dataclass(frozen=True)
class Sensor:
    """A sensor of a link. frame is the frame_id of its messages; empty when the file does not say."""

    name: str
    pose: RawPose
    topic: str
    rate: float
    frame: str
    spec: CameraSpec | LidarSpec | ImuSpec
    where: str


@dataclass(frozen=True)
class Link:
    """A rigid body."""

    name: str
    pose: RawPose
    inertial: Inertial
    visuals: tuple[Shape, ...]
    collisions: tuple[Shape, ...]
    sensors: tuple[Sensor, ...]
    lights: tuple[Light, ...]
    where: str


@dataclass(frozen=True)
class Joint:
    """kind: fixed, revolute, continuous, prismatic or ball. axis in the frame `expressed_in`, by default the joint's.

    effort: largest force or torque; infinite when the file does not say.
    """

    name: str
    kind: str
    parent: str
    child: str
    pose: RawPose
    axis: tuple[float, float, float]
    expressed_in: str
    lower: float
    upper: float
    effort: float
    damping: float
    friction: float
    where: str


@dataclass(frozen=True)
class Frame:
    """An explicit <frame>."""

    name: str
    pose: RawPose
    attached_to: str


@dataclass(frozen=True)
class Plugin:
    """A plugin; `name` is a C++ class such as gz::sim::systems::DiffDrive."""

    name: str
    element: SdfElement


@dataclass(frozen=True)
class Model:
    """A model, or one that is nested in another."""

    name: str
    pose: RawPose
    static: bool
    links: tuple[Link, ...]
    joints: tuple[Joint, ...]
    frames: tuple[Frame, ...]
    models: tuple[Model, ...]
    plugins: tuple[Plugin, ...]
    placement_frame: str
    label: int | None
    where: str


@dataclass(frozen=True)
class World:
    """A whole world. ambient and background are RGBA. notes: what was read over, for the log."""

    name: str
    file: Path
    gravity: tuple[float, float, float]
    time_step: float
    ambient: Color
    background: Color
    shadows: bool
    models: tuple[Model, ...]
    lights: tuple[Light, ...]
    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = field(default=())
