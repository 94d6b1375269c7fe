"""Sensors and lights of SDF."""

from __future__ import annotations

import math

from robot_ai.simulation.errors import SdfValueError, UnsupportedElementError
from robot_ai.simulation.sdf_element import SdfElement
from robot_ai.simulation.sdf_shapes import read_color
from robot_ai.simulation.sdf_types import CameraSpec, ImuSpec, LidarSpec, Light, Sensor

_SENSOR = frozenset(
    [
        "pose",
        "topic",
        "update_rate",
        "always_on",
        "visualize",
        "enable_metrics",
        "plugin",
        "camera",
        "lidar",
        "ray",
        "imu",
        "gz_frame_id",
        "ignition_frame_id",
        "frame_id",
    ]
)
_CAMERA = frozenset(
    [
        "pose",
        "horizontal_fov",
        "image",
        "clip",
        "noise",
        "lens",
        "distortion",
        "optical_frame_id",
        "camera_info_topic",
        "save",
        "depth_camera",
        "visibility_mask",
        "triggered",
        "trigger_topic",
        "segmentation_type",
        "box_type",
        "anti_aliasing_quality",
    ]
)
_LIDAR = frozenset(["scan", "range", "noise", "visibility_mask"])
_IMU = frozenset(["angular_velocity", "linear_acceleration", "orientation_reference_frame", "enable_orientation"])
_LIGHT = frozenset(
    [
        "pose",
        "cast_shadows",
        "intensity",
        "diffuse",
        "specular",
        "attenuation",
        "direction",
        "spot",
        "light_on",
        "visualize",
        "plugin",
    ]
)
LIDARS = ("gpu_lidar", "gpu_ray", "lidar", "ray")
_UNSUPPORTED = [
    "air_pressure",
    "air_speed",
    "altimeter",
    "boundingbox_camera",
    "boundingbox",
    "contact",
    "custom",
    "depth",
    "depth_camera",
    "force_torque",
    "gps",
    "logical_audio",
    "logical_camera",
    "magnetometer",
    "multicamera",
    "navsat",
    "rfid",
    "rfidtag",
    "rgbd",
    "rgbd_camera",
    "segmentation",
    "segmentation_camera",
    "sonar",
    "thermal",
    "thermal_camera",
    "wideanglecamera",
    "wireless_receiver",
    "wireless_transmitter",
]


def read_sensor(element: SdfElement) -> Sensor | str:
    """A <sensor>, or a note why it is left out. Raises a WorldError."""
    kind = element.attribute("type")
    if kind in _UNSUPPORTED:
        return f"{element.where}: sensors of type '{kind}' are not simulated"
    element.check(_SENSOR)
    spec: CameraSpec | LidarSpec | ImuSpec
    if kind == "camera":
        spec = _read_camera(element.need("camera"))
    elif kind in LIDARS:
        spec = _read_lidar(element.child("lidar") or element.need("ray"))
    elif kind == "imu":
        spec = _read_imu(element.child("imu"))
    else:
        raise SdfValueError(f"{element.where} is of the unknown type '{kind}'; simulated are camera, gpu_lidar and imu")
    rate = element.number("update_rate", 10.0)
    if not 0 < rate <= 1000:
        raise SdfValueError(f"{element.where}/update_rate is {rate:g}; expected more than 0, at most 1000 Hz")
    frame = next(
        (text for tag in ("gz_frame_id", "ignition_frame_id", "frame_id") if (text := element.text(tag, ""))), ""
    )
    return Sensor(
        element.attribute("name"), element.pose(), element.text("topic", ""), rate, frame, spec, element.where
    )


def _deviation(element: SdfElement | None) -> float:
    """The standard deviation of a <noise>; 0 without one. Raises a WorldError."""
    noise = None if element is None else element.child("noise")
    if noise is None:
        return 0.0
    kind = noise.text("type", noise.attribute("type", "none"))
    if kind in ("none", ""):
        return 0.0
    if kind not in ("gaussian", "gaussian_quantized"):
        raise SdfValueError(f"{noise.where} is of type '{kind}'; expected none or gaussian")
    value = noise.number("stddev", 0.0)
    if not 0 <= value < math.inf:
        raise SdfValueError(f"{noise.where}/stddev is {value:g}; expected 0 or more")
    return value


def _read_camera(element: SdfElement) -> CameraSpec:
    element.check(_CAMERA)
    image = element.child("image")
    width = 320 if image is None else image.count("width", 320)
    height = 240 if image is None else image.count("height", 240)
    if not (0 < width <= 8192 and 0 < height <= 8192):
        raise SdfValueError(f"{element.where}/image is {width} x {height}; expected 1 to 8192 pixels each way")
    kind = "R8G8B8" if image is None else image.text("format", "R8G8B8")
    if kind not in ("R8G8B8", "RGB_INT8"):
        raise UnsupportedElementError(f"{element.where}/image/format is {kind}; simulated is R8G8B8")
    fov = element.number("horizontal_fov", 1.047)
    if not 0.01 <= fov <= 3.1:
        raise SdfValueError(f"{element.where}/horizontal_fov is {fov:g}; expected 0.01 to 3.1 rad")
    _refuse_distortion(element)
    focal = width / 2 / math.tan(fov / 2)
    clip = element.child("clip")
    near = 0.1 if clip is None else clip.number("near", 0.1)
    far = 100.0 if clip is None else clip.number("far", 100.0)
    if not 0 < near < far < math.inf:
        raise SdfValueError(f"{element.where}/clip is {near:g} to {far:g}; expected 0 < near < far")
    lens = element.child("lens")
    given = None if lens is None else lens.child("intrinsics")
    return CameraSpec(
        width,
        height,
        (focal, focal) if given is None else (given.number("fx", focal), given.number("fy", focal)),
        (width / 2, height / 2) if given is None else (given.number("cx", width / 2), given.number("cy", height / 2)),
        near,
        far,
        _deviation(element),
        element.text("optical_frame_id", ""),
    )


def _refuse_distortion(element: SdfElement) -> None:
    distortion = element.child("distortion")
    for tag in ("k1", "k2", "k3", "p1", "p2") if distortion is not None else ():
        if distortion is not None and distortion.number(tag, 0.0):
            raise UnsupportedElementError(f"{distortion.where}/{tag} is not 0: distortion is not simulated")


def _angles(element: SdfElement, most: float) -> tuple[int, float, float]:
    samples = element.count("samples", 1)
    first, last = element.number("min_angle", 0.0), element.number("max_angle", 0.0)
    resolution = element.number("resolution", 1.0)
    samples = max(1, round(samples * resolution))
    if samples > 16_384 or not -most <= first <= last <= most:
        raise SdfValueError(
            f"{element.where}: {samples} samples from {first:g} to {last:g} rad; expected at most 16384 samples and "
            f"angles in order within {most:.4g} rad"
        )
    return samples, first, last


def _read_lidar(element: SdfElement) -> LidarSpec:
    element.check(_LIDAR)
    scan = element.need("scan")
    scan.check({"horizontal", "vertical"})
    vertical = scan.child("vertical")
    rings = (1, 0.0, 0.0) if vertical is None else _angles(vertical, math.pi / 2 + 1e-3)
    reach = element.need("range")
    near, far = reach.number("min", 0.0), reach.number("max")
    if not 0 <= near < far:
        raise SdfValueError(f"{reach.where} is {near:g} to {far:g}; expected 0 <= min < max")
    columns = _angles(scan.need("horizontal"), 2 * math.pi)
    return LidarSpec(*columns, *rings, near, min(far, 1000.0), _deviation(element))


def _read_imu(element: SdfElement | None) -> ImuSpec:
    if element is None:
        return ImuSpec((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    element.check(_IMU)

    def axes(tag: str) -> tuple[float, float, float]:
        found = element.child(tag)
        x, y, z = (0.0 if found is None else _deviation(found.child(axis)) for axis in "xyz")
        return x, y, z

    return ImuSpec(axes("angular_velocity"), axes("linear_acceleration"))


def read_light(element: SdfElement) -> Light:
    """A <light>. Raises a WorldError."""
    element.check(_LIGHT)
    kind = element.attribute("type")
    if kind not in ("directional", "point", "spot"):
        raise SdfValueError(f"{element.where} is of type '{kind}'; expected directional, point or spot")
    fading, spot = element.child("attenuation"), element.child("spot")
    x, y, z = element.numbers("direction", 3, (0.0, 0.0, -1.0))
    if not 0 < math.hypot(x, y, z) < math.inf:
        raise SdfValueError(f"{element.where}/direction has no length")
    constant, linear, quadratic = (
        (1.0, 0.0, 0.0)
        if fading is None
        else (fading.number("constant", 1.0), fading.number("linear", 1.0), fading.number("quadratic", 0.0))
    )
    return Light(
        element.attribute("name"),
        kind,
        element.pose(),
        (x, y, z),
        read_color(element, "diffuse", (1.0, 1.0, 1.0, 1.0)),
        read_color(element, "specular", (0.1, 0.1, 0.1, 1.0)),
        (constant, linear, quadratic),
        10.0 if fading is None else fading.number("range", 10.0),
        math.pi / 4 if spot is None else spot.number("outer_angle", math.pi / 2) / 2,
        element.flag("cast_shadows", kind == "directional"),
        element.number("intensity", 1.0) if element.flag("light_on", True) else 0.0,
    )
