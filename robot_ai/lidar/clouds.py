"""The bytes of sensor_msgs/PointCloud2 as arrays, in place.

The layout is that of the message: fields of any order and offset within a point, points `point_step` bytes apart, rows
`row_step` bytes apart. Nothing is copied before the coordinates are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.errors import (
    CloudCoordinatesError,
    CloudFieldError,
    CloudLengthError,
    CloudNotFiniteError,
    CloudSizeError,
    CloudStepError,
)
from robot_ai.lidar.order import picked

Points = NDArray[np.float32]
Buffer = bytes | bytearray | memoryview

MAX_POINTS = 4_000_000
"""Larger clouds are refused before any memory is spent on them: a few bytes can claim a billion points."""

DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
"""NumPy's names for the datatypes of sensor_msgs/PointField (INT8 = 1 to FLOAT64 = 8)."""

COORDINATES = ("x", "y", "z")
# The longest element that NumPy's arrays have.
_LARGEST_STEP = 2**31 - 1


@dataclass(frozen=True)
class CloudField:
    """sensor_msgs/PointField: where a field lies within a point. A `count` of 0 is written for 1 by some drivers."""

    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass(frozen=True)
class RawCloud:
    """The fields of sensor_msgs/PointCloud2 that matter for decoding; steps are in bytes."""

    height: int
    width: int
    fields: Sequence[CloudField]
    point_step: int
    row_step: int
    data: Buffer
    is_bigendian: bool = False


def cloud_dtype(fields: Sequence[CloudField], point_step: int, is_bigendian: bool = False) -> np.dtype[np.void]:
    """The structured dtype of one point, `point_step` bytes long. Fields without a name are padding.

    Raises CloudFieldError, or CloudStepError for a point longer than any array's element.
    """
    if point_step > _LARGEST_STEP:
        raise CloudStepError(f"point_step is {point_step} bytes; expected at most {_LARGEST_STEP}")
    named = [field for field in fields if field.name]
    formats: list[Any] = []
    for field in named:
        kind = DATATYPES.get(field.datatype)
        if kind is None:
            raise CloudFieldError(
                f"field '{field.name}' has datatype {field.datatype}; expected 1 (INT8) to 8 (FLOAT64)"
            )
        count = max(1, field.count)
        end = field.offset + int(kind[1]) * count
        if field.offset < 0 or end > point_step:
            raise CloudFieldError(
                f"field '{field.name}' lies in bytes {field.offset} to {end} of a point of {point_step} bytes; "
                f"expected it within the point"
            )
        scalar = np.dtype(kind).newbyteorder(">" if is_bigendian else "<")
        formats.append(scalar if count == 1 else (scalar, (count,)))
    names = [field.name for field in named]
    if len(set(names)) != len(names):
        raise CloudFieldError(f"two fields have one name: {', '.join(names)}; expected each name once")
    return np.dtype(
        {"names": names, "formats": formats, "offsets": [f.offset for f in named], "itemsize": max(point_step, 1)}
    )


def cloud_view(cloud: RawCloud, max_points: int = MAX_POINTS) -> NDArray[np.void]:
    """The cloud as a structured array (height, width) over the message's own bytes, read-only if those are.

    In a cloud of one row `row_step` says nothing and is not looked at; the padding behind the last row may be missing.
    Raises a CloudError that names the fault.
    """
    points = cloud.height * cloud.width
    if points > max_points:
        raise CloudSizeError(
            f"the cloud claims {cloud.height} x {cloud.width} points; expected at most {max_points} (max_cloud_points)"
        )
    dtype = cloud_dtype(cloud.fields, cloud.point_step, cloud.is_bigendian)
    if not points:
        return np.empty((cloud.height, cloud.width), dtype)
    row = cloud.width * cloud.point_step
    if cloud.height > 1 and cloud.row_step < row:
        raise CloudStepError(
            f"row_step is {cloud.row_step} bytes for {cloud.width} points of {cloud.point_step} bytes; expected "
            f"{row} or more"
        )
    step = cloud.row_step if cloud.height > 1 else row
    needed = step * (cloud.height - 1) + row
    if len(cloud.data) < needed:
        raise CloudLengthError(
            f"the cloud holds {len(cloud.data)} bytes; expected {needed} for {cloud.height} x {cloud.width} points"
        )
    return np.ndarray((cloud.height, cloud.width), dtype, cloud.data, strides=(step, cloud.point_step))


def xyz_of(view: NDArray[np.void]) -> Points:
    """The finite points of a structured array, (N, 3) float32 in the cloud's frame and unit, in their order.

    Raises as `xyz_and_kept`.
    """
    return xyz_and_kept(view)[0]


def xyz_and_kept(view: NDArray[np.void]) -> tuple[Points, NDArray[np.bool_] | slice]:
    """As `xyz_of`, and an index that picks the finite points out of all.

    Coordinates may be of any datatype. Raises CloudCoordinatesError when one is missing, and CloudNotFiniteError when
    there are points but none is finite.
    """
    names = view.dtype.names or ()
    missing = [name for name in COORDINATES if name not in names]
    if missing:
        raise CloudCoordinatesError(
            f"the cloud has no field {', '.join(missing)}; expected x, y and z among its fields ({', '.join(names)})"
        )
    if any(view.dtype[name].shape for name in COORDINATES):
        raise CloudCoordinatesError("x, y or z holds several numbers per point; expected one each (count 1)")
    flat = view.reshape(-1)
    xyz = np.empty((flat.size, 3), np.float32)
    # A double beyond float32's range becomes infinite, and with that no point.
    with np.errstate(over="ignore", invalid="ignore"):
        for column, name in enumerate(COORDINATES):
            xyz[:, column] = flat[name]
    # A finite sum means three finite numbers, and costs a third of looking at each.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(xyz[:, 0] + xyz[:, 1] + xyz[:, 2])
    if finite.all():
        return xyz, slice(None)
    # The sum of huge but finite numbers may overflow.
    doubtful = np.flatnonzero(~finite)
    finite[doubtful] = np.isfinite(xyz[doubtful]).all(axis=1)
    if not finite.any():
        raise CloudNotFiniteError(f"not one of the cloud's {len(xyz)} points has finite coordinates")
    return picked(xyz, finite), finite
