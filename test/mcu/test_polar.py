"""Polar detections: directions, distances and widths against geometry worked out in another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.mcu.errors import CompactDetectionsError
from robot_ai.mcu.polar import PolarDetections, from_boxes, from_image_boxes


def one_box(center, size, quaternion=(0, 0, 0, 1), optical=False) -> PolarDetections:
    arrays = (np.array([value], float) for value in (center, size, quaternion))
    return from_boxes(np.array([3]), np.array([0.5]), *arrays, optical=optical)


def yaw(angle: float) -> tuple[float, float, float, float]:
    return (0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2))


def test_an_image_box_left_of_the_middle_has_a_positive_bearing() -> None:
    polar = from_image_boxes(
        np.array([1]), np.array([0.9]), np.array([0.0]), np.array([0.0]), focal=320.0, middle=320.0
    )
    assert polar.bearings[0] == pytest.approx(math.pi / 4)
    assert math.isnan(polar.ranges[0])


def test_the_size_is_the_angle_between_the_edges() -> None:
    polar = from_image_boxes(
        np.array([1]), np.array([0.9]), np.array([320.0]), np.array([640.0]), focal=320.0, middle=320.0
    )
    assert polar.sizes[0] == pytest.approx(math.pi / 2)


def test_without_calibration_direction_and_size_are_unknown() -> None:
    polar = from_image_boxes(
        np.array([1]), np.array([0.9]), np.array([320.0]), np.array([640.0]), focal=0.0, middle=0.0
    )
    assert np.isnan([polar.bearings[0], polar.sizes[0]]).all()


def test_a_box_straight_ahead() -> None:
    polar = one_box((3, 0, -0.5), (2, 2, 1))
    assert polar.ranges[0] == pytest.approx(2)
    assert polar.bearings[0] == pytest.approx(0)
    assert polar.sizes[0] == pytest.approx(2 * math.atan2(1, 2))


def test_an_optical_frame_is_turned_first() -> None:
    # 3 m deep, 3 m to the right, 1 m below the camera.
    polar = one_box((3, 1, 3), (0, 0, 0), optical=True)
    assert polar.bearings[0] == pytest.approx(-math.pi / 4)
    assert polar.ranges[0] == pytest.approx(math.hypot(3, 3))


def test_a_sensor_inside_a_box_is_at_its_range_nought() -> None:
    polar = one_box((0.1, 0.1, 0), (1, 1, 1), yaw(0.4))
    assert (polar.ranges[0], polar.sizes[0]) == (0, pytest.approx(2 * math.pi))


def test_a_quaternion_of_nought_is_no_rotation() -> None:
    assert one_box((3, 0, 0), (2, 1, 1), (0, 0, 0, 0)).ranges[0] == pytest.approx(2)


def test_width_behind_the_robot_crosses_no_seam() -> None:
    assert one_box((-3, 0, 0), (2, 2, 1)).sizes[0] == pytest.approx(2 * math.atan2(1, 2))


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(-3, 3), st.floats(0.1, 3), st.floats(0.1, 3))
def test_range_agrees_with_points_sampled_from_the_footprint(x, y, angle, length, width) -> None:
    grid = np.linspace(-0.5, 0.5, 41)
    along, across = np.meshgrid(grid * length, grid * width)
    px = x + along * math.cos(angle) - across * math.sin(angle)
    py = y + along * math.sin(angle) + across * math.cos(angle)
    polar = one_box((x, y, 0.7), (length, width, 1.0), yaw(angle))
    assert polar.ranges[0] == pytest.approx(np.hypot(px, py).min(), abs=0.08)


def polar(ranges, bearings, sizes=None, scores=None) -> PolarDetections:
    count = len(ranges)
    return PolarDetections(
        np.arange(count),
        np.array(scores if scores is not None else np.full(count, 0.5)),
        np.array(bearings, float),
        np.array(ranges, float),
        np.array(sizes if sizes is not None else np.zeros(count)),
    )


def test_nearest_counts_what_reaches_into_the_sector() -> None:
    seen = polar([1.0, 2.0, np.nan, 0.5], [1.0, 0.1, 0.0, 3.0], [1.2, 0, 0, 0])
    assert seen.nearest_within(0.5) == 1.0
    assert seen.nearest_within(0.2) == 2.0
    assert seen.nearest_within(math.pi) == 0.5
    assert polar([], []).nearest_within(math.pi) == math.inf


def test_nearest_first_with_the_unknown_last_and_by_score() -> None:
    seen = polar([np.nan, 2.0, 1.0, np.nan], [0, 0, 0, 0], scores=[0.3, 0.1, 0.1, 0.8])
    assert seen.first(4, nearest=True).class_indices.tolist() == [2, 1, 3, 0]
    assert seen.first(2, nearest=False).class_indices.tolist() == [3, 0]


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(CompactDetectionsError, match="disagree"):
        PolarDetections(np.arange(2), np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(2))
