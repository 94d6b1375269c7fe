"""Fitting images: what Placement says of boxes, and that the pixels really land there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robot_ai.perception.resize import fit, place

RULES = ("stretch", "letterbox")

sides = st.integers(1, 5000)
network_sides = st.sampled_from((32, 224, 300, 320, 416, 640, 1280)) | st.integers(16, 1280)
fractions = st.lists(st.floats(0, 1), min_size=4, max_size=4)


@pytest.mark.parametrize("rule", RULES)
@given(source=st.tuples(sides, sides), network=st.tuples(network_sides, network_sides), parts=fractions)
@example(source=(5000, 5000), network=(16, 1280), parts=[0, 0, 1, 1])
@example(source=(5000, 1), network=(416, 416), parts=[0, 0, 1, 1])
@example(source=(1, 1), network=(1280, 16), parts=[0, 0.3, 1, 1])
def test_boxes_come_back(rule, source, network, parts):
    width, height = source
    xs, ys = sorted(part * width for part in parts[::2]), sorted(part * height for part in parts[1::2])
    box = np.array([[xs[0], ys[0], xs[1], ys[1]]], np.float32)
    placement = place(width, height, *network, rule)
    there = placement.to_network(box)
    assert there.dtype == np.float32
    back = placement.to_source(there)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, box, rtol=0, atol=1e-2)


@pytest.mark.parametrize("rule", RULES)
@given(source=st.tuples(sides, sides), network=st.tuples(network_sides, network_sides))
def test_the_whole_image_fills_its_place(rule, source, network):
    placement = place(*source, *network, rule)
    left, top, right, bottom = placement.to_network(np.array([[0, 0, *source]], np.float32))[0]
    if rule == "stretch":
        np.testing.assert_allclose((left, top, right, bottom), (0, 0, *network), atol=1e-3)
        return
    # Centered borders, on one axis only, of whole pixels that differ by one at most.
    before = np.array([left, top])
    after = np.array(network) - (right, bottom)
    assert (before >= 0).all()
    assert (before == np.rint(before)).all()
    np.testing.assert_allclose(after, np.rint(after), atol=1e-3)
    assert ((np.rint(after) - before == 0) | (np.rint(after) - before == 1)).all()
    assert np.rint(before + after).min() == 0


@given(source=st.tuples(sides, sides), network=st.tuples(network_sides, network_sides))
def test_letterbox_keeps_the_aspect_ratio(source, network):
    placement = place(*source, *network, "letterbox")
    scale = min(network[0] / source[0], network[1] / source[1])
    # Rounding to whole pixels moves an edge by half a pixel, and a side never vanishes.
    for length, kept in zip(source, (placement.scale_x, placement.scale_y), strict=True):
        assert abs(length * kept - length * scale) <= 0.5 + 1e-6 or length * kept == pytest.approx(1)


@pytest.mark.parametrize("rule", RULES)
def test_boxes_are_clipped_to_the_source(rule):
    placement = place(640, 480, 416, 416, rule)
    outside = np.array([[-1e4, -1e4, 1e4, 1e4], [-50, 100, 100, 1e9]], np.float32)
    clipped = placement.to_source(outside)
    np.testing.assert_array_equal(clipped[0], [0, 0, 640, 480])
    assert clipped[1, 0] == 0
    assert clipped[1, 3] == 480


@pytest.mark.parametrize("rule", RULES)
def test_no_boxes_stay_no_boxes(rule):
    placement = place(640, 480, 416, 416, rule)
    assert placement.to_source(np.empty((0, 4), np.float32)).shape == (0, 4)
    assert placement.to_network(np.empty((0, 4), np.float32)).shape == (0, 4)


def test_known_letterbox():
    placement = place(640, 480, 416, 416, "letterbox")
    assert (placement.left, placement.top) == (0, 52)
    np.testing.assert_allclose(placement.to_network(np.array([[0, 0, 640, 480]], np.float32)), [[0, 52, 416, 364]])


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60)
@given(
    source=st.tuples(st.integers(40, 500), st.integers(40, 500)),
    network=st.tuples(st.integers(48, 420), st.integers(48, 420)),
    parts=fractions,
)
@example(source=(500, 40), network=(48, 420), parts=[0.0, 0.0, 1.0, 1.0])
def test_bright_pixels_come_out_where_placement_says(rule, source, network, parts):
    width, height = source
    placement = place(width, height, *network, rule)
    # At least three network pixels of rectangle, so that sampling cannot step over it.
    least_x, least_y = 3 / placement.scale_x, 3 / placement.scale_y
    if least_x > width or least_y > height:
        return
    left, top = round(parts[0] * (width - least_x)), round(parts[1] * (height - least_y))
    right = min(width, int(left + least_x + parts[2] * (width - least_x - left)) + 1)
    bottom = min(height, int(top + least_y + parts[3] * (height - least_y - top)) + 1)
    image = np.zeros((height, width, 3), np.uint8)
    image[top:bottom, left:right] = 255
    fitted, used = fit(image, *network, rule)
    assert used == placement
    assert fitted.shape == (network[1], network[0], 3)
    ys, xs = np.nonzero(fitted[..., 0] > 127)
    found = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    expected = placement.to_network(np.array([[left, top, right, bottom]], np.float32))[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.01)


@pytest.mark.parametrize(("width", "height", "box"), [(640, 480, (160, 120, 320, 360)), (100, 300, (20, 30, 60, 90))])
@pytest.mark.parametrize("rule", RULES)
def test_rectangle_on_whole_pixels_is_exact(rule, width, height, box):
    left, top, right, bottom = box
    image = np.zeros((height, width, 3), np.uint8)
    image[top:bottom, left:right] = 255
    # Twice the size: every source edge is a network edge.
    fitted, placement = fit(image, width * 2, height * 2 if rule == "stretch" else height * 2 + 40, rule)
    ys, xs = np.nonzero(fitted[..., 1] > 127)
    found = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], np.float32)
    np.testing.assert_array_equal(placement.to_source(found), [box])


@pytest.mark.parametrize("pad", [0, 114, 255])
def test_borders_hold_the_pad_value_and_nothing_else_does(pad, photo):
    image = photo("china")
    fitted, placement = fit(image, 320, 416, "letterbox", pad)
    inner = cv2.resize(image, (320, round(427 * 320 / 640)), interpolation=cv2.INTER_LINEAR)
    bottom = placement.top + len(inner)
    np.testing.assert_array_equal(fitted[placement.top : bottom], inner)
    assert placement.top > 0
    assert (fitted[: placement.top] == pad).all()
    assert (fitted[bottom:] == pad).all()


def test_stretch_is_opencvs_bilinear_resize(photo):
    image = photo("coffee")
    fitted, _ = fit(image, 416, 416, "stretch")
    np.testing.assert_array_equal(fitted, cv2.resize(image, (416, 416), interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000), (416, 416), (3, 2)])
def test_extreme_sizes_fill_the_input(rule, size):
    width, height = size
    fitted, _ = fit(np.full((height, width, 3), 255, np.uint8), 416, 416, rule, pad_value=0)
    assert fitted.shape == (416, 416, 3)
    assert fitted.max() == 255


@pytest.mark.parametrize("rule", RULES)
def test_the_image_itself_is_left_alone(rule, photo):
    image = photo("astronaut").copy()
    fitted, _ = fit(image, 512, 512, rule)
    assert not np.shares_memory(fitted, image)
    np.testing.assert_array_equal(image, photo("astronaut"))
