"""Drawn detections: in the right place, in a copy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from robot_ai.perception.detections import Detections
from robot_ai.perception.drawing import class_color, draw, label_color

LABELS = tuple(f"class {index}" for index in range(80))


def detections(*boxes, scores=None, classes=None) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores or [0.9] * count, np.float32),
        np.array(classes or range(count), np.int64),
        LABELS,
    )


def test_the_image_is_left_alone(photo):
    image = photo("coffee").copy()
    drawn = draw(image, detections((50, 60, 300, 200)))
    np.testing.assert_array_equal(image, photo("coffee"))
    assert not np.shares_memory(drawn, image)
    assert drawn.shape == image.shape
    assert (drawn != image).any()


def test_nothing_found_changes_nothing(photo):
    image = photo("coffee")
    drawn = draw(image, Detections.empty(LABELS))
    np.testing.assert_array_equal(drawn, image)
    assert drawn.flags.writeable


def test_a_view_with_row_padding_can_be_drawn_into(photo):
    image = photo("chelsea")
    height, width = image.shape[:2]
    rows = np.zeros((height, width * 3 + 5), np.uint8)
    rows[:, : width * 3] = image.reshape(height, -1)
    view = np.ndarray(image.shape, np.uint8, rows.data, strides=(rows.shape[1], 3, 1))
    box = detections((40, 40, 200, 200))
    np.testing.assert_array_equal(draw(view, box), draw(image, box))


@pytest.mark.parametrize("box", [(60, 80, 200, 180), (0, 0, 320, 240), (10.4, 60.6, 250.2, 239.9)])
def test_outline_runs_along_the_boxs_outermost_pixels(box):
    drawn = draw(np.zeros((240, 320, 3), np.uint8), detections(box, classes=[3]))
    left, top, right, bottom = (round(edge) for edge in box)
    colored = (drawn == label_color("class 3")).all(axis=2)
    # Below the tag, which may lie inside the box, the outline is one pixel thick at this size.
    row = (top + bottom) // 2
    assert np.flatnonzero(colored[row]).tolist() == [left, right - 1]
    assert colored[bottom - 1, left:right].all()
    assert not colored[bottom:].any()


def test_tag_stays_in_the_image():
    for box in [(0, 0, 20, 20), (310, 0, 320, 20), (300, 230, 320, 240)]:
        drawn = draw(np.zeros((240, 320, 3), np.uint8), detections(box))
        # The filled tag with its text: far more pixels than the outline of so small a box has.
        assert drawn.any(axis=2).sum() > 400, box


def test_best_detection_is_drawn_on_top():
    box = (50, 50, 150, 150)
    drawn = draw(np.zeros((240, 320, 3), np.uint8), detections(box, box, scores=[0.95, 0.4], classes=[1, 2]))
    assert tuple(drawn[149, 100]) == label_color("class 1")


def test_lines_grow_with_the_image():
    thickness = []
    for scale in (1, 2, 4):
        size = 480 * scale
        drawn = draw(np.zeros((size, size, 3), np.uint8), detections((100, size // 4, size - 100, size - 100)))
        thickness.append(np.flatnonzero(drawn[size // 2, : size // 2].any(axis=1)).size)
    assert thickness[0] < thickness[1] < thickness[2]


def test_boxes_at_and_beyond_every_edge_are_no_fault():
    corners = [(x, y, x + 40, y + 30) for x, y in itertools.product((-20, 0, 300, 319), (-20, 0, 220, 239))]
    drawn = draw(np.zeros((240, 320, 3), np.uint8), detections(*corners))
    assert drawn.any()


def test_tiny_images_are_no_fault():
    assert draw(np.zeros((1, 1, 3), np.uint8), detections((0, 0, 1, 1))).shape == (1, 1, 3)


def test_colors_are_stable_distinct_bytes():
    colors = [class_color(index) for index in range(80)]
    assert len(set(colors)) == 80
    assert all(0 <= value <= 255 for color in colors for value in color)
    assert colors == [class_color(index) for index in range(80)]
    for color, neighbor in itertools.pairwise(colors):
        assert max(abs(a - b) for a, b in zip(color, neighbor, strict=True)) > 100
