"""What simulated sensors measure, as the messages that ros_gz_bridge makes of Gazebo's."""

from __future__ import annotations

import array
import math
from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry as OdometryMessage
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2, PointField
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.ros.detections import to_detection_array
from robot_ai.ros.detections_3d import to_detection_3d_array
from robot_ai.ros.images import to_byte_array
from robot_ai.simulation.diff_drive import Odometry
from robot_ai.simulation.ground_truth import Present, Seen
from robot_ai.simulation.imu import ImuReading
from robot_ai.simulation.lidar import Sweep
from robot_ai.simulation.scene import StaticFrame
from robot_ai.simulation.sdf_types import CameraSpec, ImuSpec, LidarSpec

# Gazebo aligns the fields of its clouds to eight bytes.
_FIELDS = {
    "x": (0, "<f4", PointField.FLOAT32),
    "y": (4, "<f4", PointField.FLOAT32),
    "z": (8, "<f4", PointField.FLOAT32),
    "intensity": (16, "<f4", PointField.FLOAT32),
    "ring": (24, "<u2", PointField.UINT16),
}
_POINT = np.dtype(
    {
        "names": list(_FIELDS),
        "formats": [kind for _, kind, _ in _FIELDS.values()],
        "offsets": [offset for offset, _, _ in _FIELDS.values()],
        "itemsize": 32,
    }
)


def to_time(nanoseconds: int) -> Time:
    """A stamp."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)


def to_image(pixels: NDArray[np.uint8], header: Header) -> Image:
    """An rgb8 image of pixels (H, W, 3) uint8."""
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="rgb8", step=width * 3)
    message.data = to_byte_array(pixels)
    return message


def to_camera_info(spec: CameraSpec, header: Header) -> CameraInfo:
    """An ideal camera."""
    (fx, fy), (cx, cy) = spec.focal, spec.center
    return CameraInfo(
        header=header,
        width=spec.width,
        height=spec.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def to_points(sweep: Sweep, header: Header) -> PointCloud2:
    """An organized cloud, a row for each ring from the lowest up; infinite or NaN where nothing was measured."""
    rings, columns = sweep.ranges.shape
    points = np.zeros((rings, columns), _POINT)
    for axis, name in enumerate("xyz"):
        points[name] = sweep.points[..., axis]
    points["intensity"] = sweep.intensities
    points["ring"] = np.arange(rings)[:, None]
    message = PointCloud2(
        header=header,
        height=rings,
        width=columns,
        fields=[
            PointField(name=name, offset=offset, datatype=kind, count=1) for name, (offset, _, kind) in _FIELDS.items()
        ],
        point_step=_POINT.itemsize,
        row_step=_POINT.itemsize * columns,
        is_dense=False,
    )
    message.data = to_byte_array(points.tobytes())
    return message


def to_scan(sweep: Sweep, spec: LidarSpec, period: float, header: Header) -> LaserScan:
    """A scan of the lowest ring; period: seconds between two sweeps."""
    return LaserScan(
        header=header,
        angle_min=spec.min_angle,
        angle_max=spec.max_angle,
        angle_increment=(spec.max_angle - spec.min_angle) / max(spec.columns - 1, 1),
        time_increment=0.0,
        scan_time=period,
        range_min=spec.min_range,
        range_max=spec.max_range,
        ranges=array.array("f", sweep.ranges[0].tobytes()),
        intensities=array.array("f", sweep.intensities[0].tobytes()),
    )


def to_imu(reading: ImuReading, spec: ImuSpec, header: Header) -> Imu:
    """An IMU message, with the variances of the noise."""
    message = Imu(header=header)
    message.orientation.x, message.orientation.y, message.orientation.z, message.orientation.w = (
        reading.orientation.tolist()
    )
    rates, accelerations = message.angular_velocity, message.linear_acceleration
    rates.x, rates.y, rates.z = reading.angular_velocity.tolist()
    accelerations.x, accelerations.y, accelerations.z = reading.linear_acceleration.tolist()
    message.angular_velocity_covariance = np.diag(np.square(spec.gyro_noise)).ravel()
    message.linear_acceleration_covariance = np.diag(np.square(spec.accelerometer_noise)).ravel()
    return message


def to_odometry(odometry: Odometry, child_frame: str, header: Header) -> OdometryMessage:
    """Odometry in the plane."""
    message = OdometryMessage(header=header, child_frame_id=child_frame)
    position, turn = message.pose.pose.position, message.pose.pose.orientation
    position.x, position.y = odometry.x, odometry.y
    turn.z, turn.w = math.sin(odometry.yaw / 2), math.cos(odometry.yaw / 2)
    message.twist.twist.linear.x = odometry.linear
    message.twist.twist.angular.z = odometry.angular
    return message


def to_odometry_tf(message: OdometryMessage) -> TFMessage:
    """The same pose as a transform."""
    entry = TransformStamped(header=message.header, child_frame_id=message.child_frame_id)
    position = message.pose.pose.position
    entry.transform.translation.x, entry.transform.translation.y = position.x, position.y
    entry.transform.rotation = message.pose.pose.orientation
    return TFMessage(transforms=[entry])


def to_static_tf(frames: Iterable[StaticFrame], stamp: Time) -> TFMessage:
    """Fixed frames."""
    return TFMessage(
        transforms=[_transform(frame.pose, frame.child, Header(stamp=stamp, frame_id=frame.parent)) for frame in frames]
    )


def to_seen(seen: Seen, header: Header) -> Detection2DArray:
    """Boxes whose score is the visible share, whose id is the model's name, and whose pose is the thing's middle in
    the optical frame. A box reaches over whole pixels: pixel 0 from 0 to 1."""
    message = to_detection_array(seen.detections, header)
    for detection, name, middle in zip(message.detections, seen.names, seen.centers.tolist(), strict=True):
        detection.id = name
        position = detection.results[0].pose.pose.position
        position.x, position.y, position.z = middle
    return message


def to_present(present: Present, header: Header) -> Detection3DArray:
    """Boxes whose id is the model's name."""
    return to_detection_3d_array(present.detections, header, present.names)


def _transform(pose: RigidTransform, child: str, header: Header) -> TransformStamped:
    entry = TransformStamped(header=header, child_frame_id=child)
    offset, turn = entry.transform.translation, entry.transform.rotation
    offset.x, offset.y, offset.z = pose.translation.tolist()
    turn.x, turn.y, turn.z, turn.w = pose.quaternion.tolist()
    return entry
