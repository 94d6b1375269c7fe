"""Frames over time."""

import threading
import time

import numpy as np
import pytest

from robot_ai.geometry import errors
from robot_ai.geometry.transform_buffer import TransformBuffer
from robot_ai.geometry.transforms import RigidTransform

SECOND = 1_000_000_000


def at(x, y=0.0, z=0.0, xyzw=(0, 0, 0, 1)):
    return RigidTransform.from_quaternion((x, y, z), xyzw)


def robot():
    """map > odom > base > lidar and camera; odom > base moves 1 m/s from 10 s to 12 s."""
    buffer = TransformBuffer()
    buffer.add("map", "odom", 0, at(100), static=True)
    for second in (10, 11, 12):
        buffer.add("odom", "base", second * SECOND, at(second - 10))
    buffer.add("base", "lidar", 0, at(0, z=1), static=True)
    quarter = (0, 0, np.sqrt(0.5), np.sqrt(0.5))
    buffer.add("base", "camera", 0, at(0, y=2, xyzw=quarter), static=True)
    return buffer


def test_up_down_and_across_the_tree():
    buffer, stamp = robot(), 11 * SECOND
    assert buffer.lookup("map", "lidar", stamp).translation == pytest.approx([101, 0, 1])
    assert buffer.lookup("lidar", "map", stamp).translation == pytest.approx([-101, 0, -1])
    # The camera looks along the robot's y from 2 m to its left: the lidar is 2 m behind it.
    assert buffer.lookup("camera", "lidar", stamp).translation == pytest.approx([-2, 0, 1])
    assert buffer.lookup("base", "base", stamp).translation == pytest.approx([0, 0, 0])


def test_between_two_stamps_it_interpolates():
    assert robot().lookup("odom", "base", 11 * SECOND + SECOND // 4).translation == pytest.approx([1.25, 0, 0])


def test_static_frames_need_no_stamp():
    assert robot().lookup("camera", "lidar", 999 * SECOND).translation == pytest.approx([-2, 0, 1])


def test_a_zero_stamp_asks_for_the_newest():
    assert robot().lookup("map", "base").translation == pytest.approx([102, 0, 0])


@pytest.mark.parametrize(("stamp", "past"), [(12.5, False), (9.0, True)])
def test_nothing_is_extrapolated(stamp, past):
    with pytest.raises(errors.TransformTimeError, match=r"'base' in 'odom'.*0\.5|'base' in 'odom'.*1\.0") as caught:
        robot().lookup("map", "lidar", round(stamp * SECOND))
    assert caught.value.past == past


def test_a_missing_frame_is_named():
    with pytest.raises(errors.UnknownFrameError, match=r"'lidar_top'.*base, camera"):
        robot().lookup("map", "lidar_top", 11 * SECOND)


def test_two_trees_are_named():
    buffer = robot()
    buffer.add("world", "drone", 0, at(1), static=True)
    with pytest.raises(errors.UnconnectedFramesError, match=r"'drone'.*'world'.*'base'.*'map'"):
        buffer.lookup("base", "drone", 11 * SECOND)


def test_a_loop_is_refused_and_a_new_parent_taken():
    buffer = robot()
    with pytest.raises(errors.FrameLoopError):
        buffer.add("lidar", "map", 0, at(0), static=True)
    with pytest.raises(errors.FrameLoopError):
        buffer.add("base", "base", 0, at(0), static=True)
    buffer.add("camera", "lidar", 0, at(5), static=True)
    assert buffer.lookup("camera", "lidar", 1).translation == pytest.approx([5, 0, 0])


def test_a_late_transform_is_waited_for():
    buffer = robot()
    threading.Timer(0.1, buffer.add, ("odom", "base", 13 * SECOND, at(3))).start()
    started = time.monotonic()
    assert buffer.lookup("odom", "base", 13 * SECOND, timeout=10).translation == pytest.approx([3, 0, 0])
    assert time.monotonic() - started < 5


def test_the_wait_is_bounded_and_the_past_is_not_waited_for():
    buffer = robot()
    started = time.monotonic()
    with pytest.raises(errors.UnknownFrameError):
        buffer.lookup("nowhere", "base", 1, timeout=0.1)
    assert 0.1 <= time.monotonic() - started < 5
    started = time.monotonic()
    with pytest.raises(errors.TransformTimeError):
        buffer.lookup("odom", "base", 1, timeout=60)
    assert time.monotonic() - started < 30


def test_old_transforms_are_forgotten_and_a_clock_set_back_begins_anew():
    buffer = TransformBuffer(horizon=1.0)
    for second in range(5):
        buffer.add("odom", "base", (100 + second) * SECOND, at(second))
    with pytest.raises(errors.TransformTimeError):
        buffer.lookup("odom", "base", 102 * SECOND)
    buffer.add("odom", "base", 3 * SECOND, at(7))
    assert buffer.lookup("odom", "base", 3 * SECOND).translation == pytest.approx([7, 0, 0])
    with pytest.raises(errors.TransformTimeError):
        buffer.lookup("odom", "base", 104 * SECOND)


def test_what_moves_is_forgotten_on_request_and_what_stands_stays():
    buffer = TransformBuffer()
    buffer.add("base", "lidar", 0, at(1), static=True)
    buffer.add("odom", "base", 6 * SECOND, at(6))
    buffer.clear()
    assert buffer.lookup("base", "lidar", 2 * SECOND).translation == pytest.approx([1, 0, 0])
    with pytest.raises(errors.TransformError, match="base"):
        buffer.lookup("odom", "base", 6 * SECOND)
    # Simulated time that began again: nothing of the run before is between the new stamps.
    for second in (1, 2):
        buffer.add("odom", "base", second * SECOND, at(second))
    assert buffer.lookup("odom", "lidar", 3 * SECOND // 2).translation == pytest.approx([2.5, 0, 0])


def test_stamps_out_of_order_are_sorted_and_repeated_ones_replaced():
    buffer = TransformBuffer()
    for stamp, x in ((2, 2), (1, 1), (3, 9), (3, 3)):
        buffer.add("odom", "base", stamp * SECOND, at(x))
    assert buffer.lookup("odom", "base", 3 * SECOND // 2).translation == pytest.approx([1.5, 0, 0])
    assert buffer.lookup("odom", "base").translation == pytest.approx([3, 0, 0])
    assert buffer.frames == ["base", "odom"]
