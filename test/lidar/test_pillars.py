"""Clouds seen from above: where each point counts."""

from __future__ import annotations

import numpy as np

from robot_ai.lidar.pillars import CHANNELS, LAYERS, PillarGrid, encode

GRID = PillarGrid(32, 0.5)
LAYER_COUNT = len(LAYERS) - 1


def cloud(count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    points = rng.uniform((-9, -9, -1.5), (9, 9, 1.5), (count, 3)).astype(np.float32)
    return points, points[:, 2] + np.float32(1.5)


def test_a_point_counts_in_its_pillar_and_layer_alone() -> None:
    points = np.array([[3.1, -2.2, 0.6]], np.float32)
    pillars = encode(points, np.array([1.1], np.float32), GRID)
    column, row = int((3.1 + 8) / 0.5), int((-2.2 + 8) / 0.5)
    layer = int(np.searchsorted(LAYERS, 1.1)) - 1
    assert np.argwhere(pillars.features[:LAYER_COUNT]).tolist() == [[layer, row, column]]
    assert pillars.features[LAYER_COUNT, row, column] == np.float32(1.1) / 3
    offset = pillars.features[LAYER_COUNT + 1 : LAYER_COUNT + 3, row, column]
    np.testing.assert_allclose(offset, [(3.1 + 8) / 0.5 - column - 0.5, (-2.2 + 8) / 0.5 - row - 0.5], atol=1e-5)
    np.testing.assert_allclose(pillars.places, [[3.25, -2.25]])
    np.testing.assert_allclose(pillars.ground, [-0.5], atol=1e-6)
    assert pillars.counts.tolist() == [1]


def test_the_order_of_points_has_no_effect() -> None:
    points, above = cloud()
    order = np.random.default_rng(0).permutation(len(points))
    first, second = encode(points, above, GRID), encode(points[order], above[order], GRID)
    np.testing.assert_allclose(first.features, second.features, atol=1e-5)
    np.testing.assert_allclose(first.ground, second.ground, atol=1e-5)


def test_what_lies_outside_the_square_or_its_heights_is_left_out() -> None:
    points, above = cloud()
    far = np.array([[8.1, 0, 0], [0, -8.1, 0], [1, 1, 9], [1, 1, -9]], np.float32)
    with_far = encode(np.vstack([points, far]), np.concatenate([above, [1, 1, 9, -9]]).astype(np.float32), GRID)
    np.testing.assert_array_equal(with_far.features, encode(points, above, GRID).features)


def test_a_quarter_turn_turns_the_picture() -> None:
    points, above = cloud()
    turned = points.copy()
    turned[:, 0], turned[:, 1] = -points[:, 1], points[:, 0]
    straight, quarter = encode(points, above, GRID).features, encode(turned, above, GRID).features
    shown = LAYER_COUNT + 1
    np.testing.assert_allclose(quarter[:shown], np.rot90(straight[:shown], -1, axes=(1, 2)), atol=1e-6)


def test_nothing_is_described_as_nothing_but_places() -> None:
    pillars = encode(np.empty((0, 3), np.float32), np.empty(0, np.float32), GRID)
    assert pillars.features.shape == (CHANNELS, 32, 32)
    assert not pillars.features[: CHANNELS - 3].any()
    assert np.isfinite(pillars.features).all()
    assert len(pillars.places) == 0
