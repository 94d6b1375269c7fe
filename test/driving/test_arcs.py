"""Arcs: how far they are free, and how fast they may be driven."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.driving.arcs import REACH, Motion, Obstacles, Vehicle, free_lengths, openest_bearing, steer
from robot_ai.driving.errors import DriveSettingsError

VEHICLE = Vehicle()


def points(*places: tuple[float, float], margin: float = 0.1) -> Obstacles:
    return Obstacles(np.array(places, float).reshape(-1, 2), np.full(len(places), margin))


def test_straight_on_is_free_up_to_the_circle_and_the_margin() -> None:
    (free,) = free_lengths(points((2.0, 0.0)), 0.3, np.zeros(1))
    assert free == pytest.approx(1.55, abs=0.051)


def test_what_lies_beside_the_way_does_not_block_it() -> None:
    (free,) = free_lengths(points((1.0, 0.45)), 0.3, np.zeros(1))
    assert free == REACH


def test_what_is_too_near_does_not_hold_a_robot_that_leaves_it() -> None:
    behind, ahead = (
        free_lengths(points((-0.35, 0.0)), 0.3, np.zeros(1)),
        free_lengths(points((0.35, 0.0)), 0.3, np.zeros(1)),
    )
    assert behind[0] == REACH
    assert ahead[0] <= 0.05


def test_a_quarter_turn_to_the_left_meets_what_is_there() -> None:
    radius = 1.0
    (free,) = free_lengths(points((1.0, 1.0), margin=0.01), 0.1, np.array([1 / radius]))
    assert free == pytest.approx(math.pi / 2 * radius - 0.16, abs=0.06)


def test_goes_round_an_obstacle_towards_the_goal() -> None:
    motion = steer(VEHICLE, points((1.1, 0.05), (1.1, -0.05)), 0.0, 0.5, Motion())
    assert motion.speed > 0.05
    assert abs(motion.turn) > 0.02


def test_turns_in_place_where_nothing_is_free() -> None:
    angles = np.linspace(-math.pi, math.pi, 90)
    ring = Obstacles(0.8 * np.column_stack([np.cos(angles), np.sin(angles)]), np.full(90, 0.1))
    motion = steer(VEHICLE, ring, 0.4, 0.5, Motion())
    assert motion.speed == 0
    assert motion.turn > 0


def test_the_openest_way_is_where_the_gap_is() -> None:
    angles = np.linspace(-math.pi, math.pi, 180)
    ring = angles[np.abs(angles - 2.0) > 0.8]
    walls = Obstacles(1.2 * np.column_stack([np.cos(ring), np.sin(ring)]), np.full(len(ring), 0.1))
    assert openest_bearing(walls, 0.3) == pytest.approx(2.0, abs=0.5)
    assert openest_bearing(Obstacles.none(), 0.3) == pytest.approx(0.0)


def test_turns_in_place_to_what_is_behind() -> None:
    assert steer(VEHICLE, Obstacles.none(), -2.5, 0.5, Motion()) == Motion(0.0, -VEHICLE.turn)


@given(
    st.floats(0, 4),
    st.floats(0.05, 3),
    st.floats(0.1, 3),
    st.floats(0.01, 1),
)
def test_a_robot_at_the_allowed_speed_stops_in_time(free: float, speed: float, braking: float, late: float) -> None:
    vehicle = Vehicle(speed=speed, deceleration=braking, reaction=late)
    (fastest,) = vehicle.allowed_speed(np.array([free]))
    way = fastest * late + fastest**2 / (2 * braking)
    assert way <= max(free - vehicle.stop_distance, 0) + 1e-6


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_settings_that_mean_nothing_are_refused(value: float) -> None:
    with pytest.raises(DriveSettingsError, match="deceleration"):
        Vehicle(deceleration=value)
