"""Legs and obstacles in scans worked out from circles and walls."""

import numpy as np
import pytest

from robot_ai.lidar.detections import LABELS
from robot_ai.lidar.scan_detector import ScanDetector, ScanSettings
from robot_ai.lidar.scans import RawScan, scan_points

DETECTOR, SETTINGS = ScanDetector(), ScanSettings()
INCREMENT = 2 * np.pi / 1440


def circle(x, y, radius):
    def hit(angles):
        along = x * np.cos(angles) + y * np.sin(angles)
        inside = radius**2 - (x * x + y * y - along**2)
        return np.where((inside >= 0) & (along > 0), along - np.sqrt(np.maximum(inside, 0)), np.inf)

    return hit


def room(half):
    """Four walls."""

    def hit(angles):
        with np.errstate(divide="ignore"):
            return half / np.maximum(np.abs(np.cos(angles)), np.abs(np.sin(angles)))

    return hit


def scan(*things, noise=0.005, first=-np.pi, count=1440, lost=0.0, seed=0):
    rng = np.random.default_rng(seed)
    angles = first + np.arange(count) * INCREMENT
    ranges = np.minimum.reduce([thing(angles) for thing in things]) + rng.normal(0, noise, count)
    ranges[rng.random(count) < lost] = np.nan
    return scan_points(RawScan(first, INCREMENT, 0.05, 30.0, ranges.astype(np.float32)))


def person(x, y, apart=0.25):
    return circle(x, y - apart / 2, 0.06), circle(x, y + apart / 2, 0.06)


def people(found):
    return found.take(found.class_indices == LABELS.index("person"))


def near(found, x, y):
    """How many boxes are within 0.4 m."""
    return int((np.hypot(found.centers[:, 0] - x, found.centers[:, 1] - y) < 0.4).sum())


@pytest.mark.parametrize("place", [(2.0, 0.5), (-3.0, 0.4), (2.5, -2.5)])
def test_two_legs_are_one_person(place):
    found = people(DETECTOR.detect(scan(room(6), *person(*place)), SETTINGS).detections)
    assert len(found) == 1
    assert found.centers[0, :2] == pytest.approx(place, abs=0.1)
    assert found.centers[0, 2] == 0


def test_a_person_behind_where_the_scan_begins_and_ends():
    found = people(
        DETECTOR.detect(scan(room(6), circle(-2.0, 0.0, 0.06), circle(-2.0, 0.25, 0.06)), SETTINGS).detections
    )
    assert len(found) == 1
    assert found.centers[0, :2] == pytest.approx([-1.95, 0.125], abs=0.1)


def test_walls_poles_and_single_legs_are_nobody():
    alone = DETECTOR.detect(scan(room(6), circle(2, 0, 0.06)), SETTINGS).detections
    assert len(people(alone)) == 0
    assert near(alone, 2, 0) == 1
    posts = DETECTOR.detect(scan(room(6), circle(2, 0, 0.3), circle(2, 0.9, 0.3)), SETTINGS).detections
    assert len(people(posts)) == 0
    assert (near(posts, 2, 0), near(posts, 2, 0.9)) == (1, 1)
    assert len(DETECTOR.detect(scan(room(6)), SETTINGS).detections) == 0


def test_legs_that_stand_far_apart_are_no_pair():
    assert not len(people(DETECTOR.detect(scan(room(6), *person(2, 0, apart=0.9)), SETTINGS).detections))


def test_two_people_side_by_side_are_two():
    found = people(DETECTOR.detect(scan(room(6), *person(2, -0.5), *person(2, 0.5)), SETTINGS).detections)
    assert sorted(found.centers[:, 1].round(1).tolist()) == pytest.approx([-0.5, 0.5], abs=0.15)


def test_lost_beams_do_not_cut_things():
    boxes = DETECTOR.detect(scan(circle(3, 0, 0.5), lost=0.2, noise=0.002), SETTINGS).detections
    assert len(boxes) == 1
    assert boxes.sizes[0, 0] == pytest.approx(1.0, abs=0.15)


def test_only_what_is_asked_for():
    # Between the legs a piece of the wall behind is seen, which is an obstacle as well.
    both = scan(room(6), *person(2, 0.5), circle(-2, 0, 0.3))
    assert DETECTOR.detect(both, ScanSettings(classes=("obstacle",))).detections.names == ["obstacle"] * 2
    assert DETECTOR.detect(both, ScanSettings(max_range=1.0)).detections.names == []
    assert DETECTOR.detect(both, ScanSettings(score=0.6)).detections.names == ["person"]


def test_turning_the_scan_turns_the_boxes():
    for turn in np.linspace(0, 6, 13):
        x, y = 3 * np.cos(turn), 3 * np.sin(turn)
        legs = [circle(x + s * 0.125 * np.sin(turn), y - s * 0.125 * np.cos(turn), 0.06) for s in (-1, 1)]
        found = people(DETECTOR.detect(scan(circle(0.0, 0.0, 0.0), *legs), SETTINGS).detections)
        assert len(found) == 1, turn
        assert np.hypot(*(found.centers[0, :2] - [x, y])) < 0.1


@pytest.mark.parametrize("twice", [0, 1])
@pytest.mark.parametrize("heading", [0.0, np.pi])
def test_a_thing_where_a_coarse_full_turn_begins_and_ends_is_one(heading, twice):
    # One beam per degree: at 5 m neighbors lie 9 cm apart.
    increment = 2 * np.pi / 360
    angles = -np.pi + np.arange(360 + twice) * increment
    ranges = circle(5.4 * np.cos(heading), 5.4 * np.sin(heading), 0.5)(angles).astype(np.float32)
    boxes = DETECTOR.detect(scan_points(RawScan(-np.pi, increment, 0.05, 30.0, ranges)), SETTINGS).detections
    assert len(boxes) == 1
    assert boxes.sizes[0, :2].max() == pytest.approx(1.0, abs=0.2)


def test_an_empty_scan():
    nothing = scan_points(RawScan(0.0, INCREMENT, 0.05, 30.0, np.full(10, np.inf, np.float32)))
    assert len(DETECTOR.detect(nothing, SETTINGS).detections) == 0
