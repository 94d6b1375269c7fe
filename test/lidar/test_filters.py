"""Crops and voxels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.lidar.errors import RegionError
from robot_ai.lidar.filters import Region, voxelize, within_range

CLOUD = np.random.default_rng(0).normal(0, 5, (300, 3)).astype(np.float32)


def test_range_is_measured_on_the_ground():
    points = np.array([[3, 4, 100], [0.1, 0, 0], [30, 0, 0]], np.float32)
    assert within_range(points, 0.5, 20.0).tolist() == [True, False, False]


def test_region_includes_its_bounds_and_may_be_open():
    region = Region.parse("-1 1, -inf inf, 0 2")
    points = np.array([[1, 99, 0], [1.01, 0, 1], [0, 0, -0.1]], np.float32)
    assert region.contains(points).tolist() == [True, False, False]


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d e f", "1 0 0 1 0 1", "nan 1 0 1 0 1"])
def test_what_is_no_region_is_refused(text):
    with pytest.raises(RegionError):
        Region.parse(text)


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 8))
def test_voxels_are_means_of_what_is_in_them(seed, edge):
    points = CLOUD[np.random.default_rng(seed).permutation(300)]
    voxels = voxelize(points, edge)
    cells = np.floor(points * np.float32(1 / edge))
    for index in range(len(voxels.points)):
        mine = voxels.of_point == index
        assert mine.any()
        assert len(np.unique(cells[mine], axis=0)) == 1
        assert voxels.points[index] == pytest.approx(points[mine].mean(axis=0), abs=1e-4)
    assert len(np.unique(cells, axis=0)) == len(voxels.points)


@given(st.permutations(range(40)))
def test_voxels_do_not_depend_on_the_order_of_points(order):
    points = CLOUD[:40]
    assert voxelize(points[order], 1.0).points == pytest.approx(voxelize(points, 1.0).points, abs=1e-5)
