"""Clouds of a moving lidar against a world that stands still."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.deskew import Twist, deskew, point_times
from robot_ai.lidar.errors import PointTimesError

SECOND = 1_000_000_000
WORLD = np.random.default_rng(0).uniform(-20, 20, (400, 3)).astype(np.float32)
TIMES = np.linspace(-0.1, 0.1, 400).astype(np.float32)
speeds = st.tuples(*[st.floats(-3, 3)] * 3)


def test_driving_straight_ahead() -> None:
    """At 10 m/s a point seen 0.1 s late is a meter too near."""
    twist = Twist(np.array([10.0, 0, 0]), np.zeros(3))
    seen = np.array([[5.0, 1, 0], [4.0, 1, 0]], np.float32)
    np.testing.assert_allclose(deskew(seen, np.array([0, 0.1], np.float32), twist), [[5, 1, 0]] * 2, atol=1e-6)


def test_driving_a_circle() -> None:
    """Around (0, 5) at 1 rad/s: the pose at time t is known in closed form."""
    twist = Twist(np.array([5.0, 0, 0]), np.array([0, 0, 1.0]))
    cos, sin = np.cos(TIMES), np.sin(TIMES)
    x, y = WORLD[:, 0] - 5 * sin, WORLD[:, 1] - 5 * (1 - cos)
    seen = np.column_stack([x * cos + y * sin, y * cos - x * sin, WORLD[:, 2]]).astype(np.float32)
    np.testing.assert_allclose(deskew(seen, TIMES, twist), WORLD, atol=2e-5)


@settings(max_examples=25, deadline=None)
@given(speeds, speeds)
def test_any_constant_twist(linear: tuple[float, ...], angular: tuple[float, ...]) -> None:
    """Against poses that are integrated in many small steps."""
    twist = Twist(np.array(linear), np.array(angular))
    late, steps = 0.1, 200
    step = Rotation.from_rotvec(twist.angular * late / steps)
    half = Rotation.from_rotvec(twist.angular * late / steps / 2)
    way, place = Rotation.identity(), np.zeros(3)
    for _ in range(steps):
        place = place + (way * half).apply(twist.linear) * late / steps
        way = way * step
    seen = way.inv().apply(WORLD - place).astype(np.float32)
    np.testing.assert_allclose(deskew(seen, np.full(400, late, np.float32), twist), WORLD, atol=1e-4)


def test_a_lidar_off_the_axis_moves_with_the_robot() -> None:
    """Turning on the spot, a lidar 2 m ahead of the axis, itself turned left, goes sideways: along its own x axis."""
    base_to_lidar = RigidTransform(np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]), np.array([0.0, 2.0, 0]))
    lidar = Twist(np.zeros(3), np.array([0, 0, 0.5])).seen_from(base_to_lidar)
    np.testing.assert_allclose(base_to_lidar.inverse.translation, [2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(lidar.linear, [1.0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(lidar.angular, [0, 0, 0.5])


def view_of(name: str, kind: str, values: list[float]) -> np.ndarray:
    view = np.zeros(len(values), np.dtype([("x", "f4"), (name, kind)]))
    view[name] = values
    return view


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("time", "<f4", [-0.05, 0.0, 0.05]),
        ("t", "<u4", [0, 50_000_000, 100_000_000]),
        ("timestamp", "<f8", [1e9 + 0.25, 1e9 + 0.3, 1e9 + 0.35]),
        ("timestamp", "<f8", [1e18 + 2.5e8, 1e18 + 3e8, 1e18 + 3.5e8]),
        ("offset_time", ">u4", [0, 50_000_000, 100_000_000]),
    ],
)
def test_times_of_several_drivers(name: str, kind: str, values: list[float]) -> None:
    times = point_times(view_of(name, kind, values), 10**18 + SECOND // 4)
    assert times is not None
    np.testing.assert_allclose(np.diff(times), 0.05, atol=1e-5)


def test_no_times_and_impossible_ones() -> None:
    assert point_times(view_of("ring", "<u2", [1, 2]), SECOND) is None
    assert point_times(view_of("time", "<f4", []), SECOND) is not None
    with pytest.raises(PointTimesError, match="'time' says"):
        point_times(view_of("time", "<f4", [0.0, 5.0]), SECOND)
    gaps = point_times(view_of("time", "<f4", [np.nan, 0.02]), SECOND)
    np.testing.assert_allclose(gaps, [0, 0.02])
