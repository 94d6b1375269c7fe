"""sensor_msgs clouds and scans to arrays, and arrays to clouds."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import LaserScan, PointCloud2, PointField
from std_msgs.msg import Header

from robot_ai.lidar.clouds import CloudField, RawCloud
from robot_ai.lidar.scans import RawScan
from robot_ai.ros.images import to_byte_array


def to_raw_cloud(message: PointCloud2) -> RawCloud:
    """The message's layout over its own bytes; nothing is copied or checked."""
    fields = [CloudField(field.name, field.offset, field.datatype, field.count) for field in message.fields]
    return RawCloud(
        message.height,
        message.width,
        fields,
        message.point_step,
        message.row_step,
        memoryview(message.data),
        bool(message.is_bigendian),
    )


def to_raw_scan(message: LaserScan) -> RawScan:
    """The message's fields over its own arrays; nothing is copied or checked."""
    return RawScan(
        message.angle_min,
        message.angle_increment,
        message.range_min,
        message.range_max,
        np.frombuffer(_floats(message.ranges), np.float32),
        np.frombuffer(_floats(message.intensities), np.float32),
    )


def _floats(values: Sequence[float]) -> array.array[float]:
    return values if isinstance(values, array.array) else array.array("f", values)


def to_cloud(points: NDArray[np.float32], header: Header, rows: int = 1) -> PointCloud2:
    """Packs points (N, 3) float32, or (N, 4) with intensity, into a cloud of `rows` rows, which must divide N."""
    names = ("x", "y", "z", "intensity")[: points.shape[1]]
    step = 4 * points.shape[1]
    message = PointCloud2(
        header=header,
        height=rows,
        width=len(points) // rows,
        fields=[
            PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(names)
        ],
        point_step=step,
        row_step=step * (len(points) // rows),
        is_dense=bool(np.isfinite(points).all()),
    )
    message.data = to_byte_array(np.ascontiguousarray(points, "<f4").tobytes())
    return message
