"""Boxes around what a lidar sees of a box: two sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.lidar.boxes import Groups, fit_boxes


def two_sides(length, width, yaw, center, count=60):
    """Points on the near long side and on one end."""
    along, across = np.linspace(-length / 2, length / 2, count), np.linspace(-width / 2, width / 2, count // 2)
    sides = np.concatenate(
        [
            np.column_stack([along, np.full(count, -width / 2)]),
            np.column_stack([np.full(count // 2, length / 2), across]),
        ]
    )
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    heights = np.tile([0.2, 1.4], len(sides))[: len(sides)]
    return np.column_stack([sides @ turn.T + center, heights]).astype(np.float32)


def difference(first, second):
    """Between two headings that a half turn does not tell apart."""
    return abs((first - second + np.pi / 2) % np.pi - np.pi / 2)


@given(st.floats(-4, 4), st.floats(2, 6), st.floats(0.5, 1.8), st.floats(-30, 30), st.floats(-30, 30))
def test_an_l_shape_gives_its_box(yaw, length, width, x, y):
    boxes = fit_boxes(Groups.of(two_sides(length, width, yaw, (x, y)), np.zeros(90, np.int32)))
    assert boxes.sizes[0] == pytest.approx([length, width, 1.2], abs=0.12)
    assert boxes.centers[0, :2] == pytest.approx([x, y], abs=0.1)
    assert difference(boxes.yaws[0], yaw) < np.radians(2.5)
    assert -np.pi / 2 <= boxes.yaws[0] < np.pi / 2
    assert boxes.edge_gaps[0] < 0.05


def test_clusters_do_not_mix():
    first, second = two_sides(4, 1.6, 0.3, (10, 0)), two_sides(2, 1, -1.0, (-5, 3))
    points, labels = np.concatenate([first, second]), np.repeat([7, 3], 90)
    order = np.random.default_rng(0).permutation(180)
    boxes = fit_boxes(Groups.of(points[order], labels[order]))
    alone = [fit_boxes(Groups.of(part, np.zeros(90, np.int32))) for part in (second, first)]
    for index, box in enumerate(alone):
        assert boxes.centers[index] == pytest.approx(box.centers[0], abs=1e-5)
        assert boxes.sizes[index] == pytest.approx(box.sizes[0], abs=1e-5)


def test_a_bush_has_no_flat_sides():
    blob = np.random.default_rng(0).normal(0, 0.5, (500, 3)).astype(np.float32)
    flat = two_sides(3, 1.5, 0.4, (0, 0))
    gaps = [fit_boxes(Groups.of(p, np.zeros(len(p), np.int32))).edge_gaps[0] for p in (blob, flat)]
    assert gaps[0] > 10 * gaps[1]


def test_one_point_and_none():
    box = fit_boxes(Groups.of(np.array([[1, 2, 3]], np.float32), np.array([0])))
    assert (box.centers.tolist(), box.sizes.tolist()) == ([[1, 2, 3]], [[0, 0, 0]])
    assert not len(fit_boxes(Groups.of(np.empty((0, 3), np.float32), np.empty(0, np.int32))).yaws)


def test_thinning_keeps_every_cluster():
    groups = Groups.of(np.arange(303).reshape(101, 3).astype(np.float32), np.repeat([0, 1], [100, 1]))
    thin = groups.thinned(10)
    assert thin.counts.tolist() == [10, 1]
    assert thin.points[0].tolist() == [0, 1, 2]
    assert groups.take(np.array([False, True])).points.tolist() == [[300, 301, 302]]


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 60))
def test_portions_are_all_clusters_in_their_order(counts, least):
    labels = np.repeat(np.arange(len(counts)), counts)
    points = np.arange(len(labels) * 3, dtype=np.float32).reshape(-1, 3)
    groups = Groups.of(points, labels)
    portions = list(groups.portions(least))
    assert sum(len(portion) for portion in portions) == len(counts)
    pieces = [
        portion.points[a : a + n] for portion in portions for a, n in zip(portion.starts, portion.counts, strict=True)
    ]
    assert [len(piece) for piece in pieces] == counts
    if counts:
        np.testing.assert_array_equal(np.concatenate(pieces), points)
    # No portion holds a cluster more than it takes to reach the least.
    assert all(portion.counts[:-1].sum() < least for portion in portions)
