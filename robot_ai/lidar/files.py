"""Clouds from files, for tools and tests: PCD, KITTI's .bin, Ouster's .osf, NumPy's .npy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot_ai.errors import pip_install
from robot_ai.lidar.errors import CloudFileError

Points = NDArray[np.float32]

_KITTI_FLOATS = 4


def read_points(path: Path, index: int = 0) -> Points:
    """The finite points of a cloud, (N, 3) float32 in meters in the sensor's frame; the kind of file is told by its
    suffix. `index` picks a scan of a recording (.osf).

    Raises CloudFileError.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise CloudFileError(f"{path} is no cloud that is read here; expected a file ending {', '.join(READERS)}")
    if not path.is_file():
        raise CloudFileError(f"{path} does not exist; expected a file")
    points = np.ascontiguousarray(reader(path, index), np.float32)
    return points[np.isfinite(points).all(axis=1)]


def _read_kitti(path: Path, index: int) -> Points:
    """KITTI's Velodyne scans: x, y, z, reflectance as little-endian float32, without a header."""
    size = path.stat().st_size
    if size % (4 * _KITTI_FLOATS):
        raise CloudFileError(f"{path} holds {size} bytes; expected a multiple of 16 (x, y, z, reflectance as float32)")
    return np.fromfile(path, "<f4").reshape(-1, _KITTI_FLOATS)[:, :3]


def _read_pcd(path: Path, index: int) -> Points:
    try:
        from pypcd4 import PointCloud
    except ImportError:
        raise CloudFileError(f"{path} needs pypcd4: {pip_install('lidar')}") from None
    try:
        cloud = PointCloud.from_path(path)
        return np.asarray(cloud.numpy(("x", "y", "z")), np.float32)
    # pypcd4 lets pydantic's, NumPy's and its own assertions through.
    except (ValueError, AssertionError, RuntimeError, KeyError, OSError, TypeError, IndexError) as error:
        raise CloudFileError(f"{path} is no PCD file with x, y and z: {error}") from error


def _read_osf(path: Path, index: int) -> Points:
    try:
        from ouster.sdk import core, open_source
    except ImportError:
        raise CloudFileError(f"{path} needs Ouster's library: pip install ouster-sdk==1.0.1") from None
    try:
        source = open_source(str(path))
        tables = [core.XYZLut(info) for info in source.sensor_info]
        for number, scans in enumerate(source):
            if number == index:
                clouds = [table(scan.field("RANGE")) for table, scan in zip(tables, scans, strict=True) if scan]
                points: Points = np.concatenate([cloud.reshape(-1, 3) for cloud in clouds]).astype(np.float32)
                # What returned nothing has range 0.
                return points[(points != 0).any(axis=1)]
    # The library throws its C++ errors as RuntimeError, and IndexError for sensors without a range.
    except (RuntimeError, ValueError, IndexError, KeyError) as error:
        raise CloudFileError(f"{path} is no readable .osf file: {error}") from error
    raise CloudFileError(f"{path} has no scan number {index}")


def _read_npy(path: Path, index: int) -> Points:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise CloudFileError(f"{path} is no NumPy array: {error}") from error
    if array.ndim < 2 or array.shape[-1] < 3 or array.dtype.kind != "f":
        raise CloudFileError(f"{path} holds {array.dtype} {array.shape}; expected floats (..., 3) or more columns")
    points: Points = array.reshape(-1, array.shape[-1])[:, :3]
    return points


READERS: dict[str, Callable[[Path, int], Points]] = {
    ".bin": _read_kitti,
    ".pcd": _read_pcd,
    ".osf": _read_osf,
    ".npy": _read_npy,
}
"""Readers by suffix."""
