"""Clusters are the connected parts of a graph of near neighbors: held against that definition, point by point."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.lidar.clusters import cluster, shrink


def by_definition(points, tolerance):
    near = np.linalg.norm(points[:, None] - points[None], axis=-1) <= tolerance
    label = np.full(len(points), -1)
    for seed in range(len(points)):
        front = [seed] if label[seed] < 0 else []
        while front:
            label[front] = seed
            front = np.flatnonzero(near[front].any(axis=0) & (label < 0)).tolist()
    return label


def same_partition(first, second):
    return len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(set(first)) == len(set(second))


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 3.0))
def test_definition_order_and_rotation(seed, tolerance):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-5, 5, (80, 3))
    expected = by_definition(points, tolerance)
    assert same_partition(cluster(points, tolerance), expected)
    order = rng.permutation(80)
    assert same_partition(cluster(points[order], tolerance), expected[order])
    angle = rng.uniform(0, 6)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    if np.abs(gaps - tolerance).min() > 1e-6:
        assert same_partition(cluster(points @ turn.T + 7, tolerance), expected)


def test_nothing_and_one():
    assert len(cluster(np.empty((0, 3), np.float32), 1.0)) == 0
    assert cluster(np.zeros((1, 3), np.float32), 1.0).tolist() == [0]


@pytest.mark.parametrize("distance", [0.0, 10.0, 40.0])
def test_shrunk_steps_have_one_length(distance):
    """A step of tolerance + growth * r, outwards or upwards at r, becomes one of the tolerance."""
    tolerance, growth = 0.2, 0.01
    step = tolerance + growth * distance
    points = np.array([[distance, 0, 0], [distance + step / 100, 0, 0], [distance, 0, step]], np.float64)
    out = shrink(points, growth / tolerance)
    assert np.linalg.norm(out[1] - out[0]) * 100 == pytest.approx(tolerance, rel=0.02)
    assert np.linalg.norm(out[2] - out[0]) == pytest.approx(tolerance, rel=1e-6)


def test_no_growth_changes_nothing():
    points = np.ones((3, 3), np.float32)
    assert shrink(points, 0.0) is points
