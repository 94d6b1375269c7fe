"""Clouds from files."""

import struct

import numpy as np
import pytest

from robot_ai.lidar.errors import CloudFileError
from robot_ai.lidar.files import read_points

POINTS = np.random.default_rng(3).normal(0, 10, (40, 3)).astype(np.float32)


def test_kitti(tmp_path):
    file = tmp_path / "scan.bin"
    np.column_stack([POINTS, np.ones(40, np.float32)]).astype("<f4").tofile(file)
    assert read_points(file).tolist() == POINTS.tolist()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CloudFileError, match="multiple of 16"):
        read_points(file)


def test_pcd_written_by_hand(tmp_path):
    pytest.importorskip("pypcd4", reason="PCD is read by pypcd4 (extra lidar)")
    header = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS intensity z y x\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\n"
        f"WIDTH {len(POINTS)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(POINTS)}\nDATA "
    )
    rows = np.column_stack([np.ones(40, np.float32), POINTS[:, ::-1]])
    binary, ascii_ = tmp_path / "binary.pcd", tmp_path / "ascii.pcd"
    binary.write_bytes(f"{header}binary\n".encode() + rows.astype("<f4").tobytes())
    ascii_.write_text(f"{header}ascii\n" + "\n".join(" ".join(map(repr, map(float, row))) for row in rows) + "\n")
    assert read_points(binary).tolist() == POINTS.tolist()
    assert read_points(ascii_) == pytest.approx(POINTS)


def test_numpy_drops_what_is_not_finite(tmp_path):
    file = tmp_path / "scan.npy"
    np.save(file, np.concatenate([POINTS, [[np.nan, 0, 0]]]).reshape(1, 41, 3))
    assert read_points(file).tolist() == POINTS.tolist()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pcd", b"junk"), ("a.npy", b"junk"), ("a.xyz", b""), ("a.pcd", b""), ("a.npy", b""), ("a.osf", b"junk")],
)
def test_what_is_no_cloud_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CloudFileError, match=r"expected|is no|needs"):
        read_points(tmp_path / name)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CloudFileError, match="does not exist"):
        read_points(tmp_path / "none.bin")


def test_real_ouster_scan(shared_data):
    pytest.importorskip("ouster.sdk", reason="reads .osf; it pins other versions of what the tests need")
    points = read_points(shared_data / "data" / "ouster" / "single_scan_016.osf")
    assert 90_000 < len(points) <= 131_072


def test_real_kitti_scan(shared_data):
    file = shared_data / "data" / "kitti3" / "velodyne" / "000000.bin"
    points = read_points(file)
    assert len(points) == 115_384
    assert points[0].tolist() == list(struct.unpack("<3f", file.read_bytes()[:12]))
