"""Boxes of two models, paired."""

from __future__ import annotations

import numpy as np
import pytest

from robot_ai.model_tool.matching import match, overlaps_in_image
from robot_ai.models.specs import Thresholds
from robot_ai.perception.detections import Detections

LABELS = ("a", "b")
LIMITS = Thresholds(confidence=0.3, iou=0.6, max_detections=3)


def found(*boxes: tuple[float, float, float, float, float, int]) -> Detections:
    """Left, top, right, bottom, score, class."""
    rows = np.array(boxes, np.float32).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64), LABELS)


def test_the_same_boxes_agree_wholly() -> None:
    boxes = found((0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.5, 1))
    agreement = match([boxes], [boxes], LIMITS, 0.01, overlaps_in_image)
    assert (agreement.pairs, agreement.exact, agreement.alone) == (2, 2, 0)
    assert (agreement.smallest_overlap, agreement.largest_score_difference, agreement.paired) == (1.0, 0.0, 1.0)


def test_a_moved_box_is_a_pair_but_not_an_exact_one() -> None:
    agreement = match([found((0, 0, 10, 10, 0.9, 0))], [found((1, 0, 11, 10, 0.7, 0))], LIMITS, 0.01, overlaps_in_image)
    assert (agreement.pairs, agreement.exact) == (1, 0)
    assert agreement.smallest_overlap == pytest.approx(90 / 110)
    assert agreement.largest_score_difference == pytest.approx(0.2)


def test_another_class_is_no_partner() -> None:
    agreement = match([found((0, 0, 10, 10, 0.9, 0))], [found((0, 0, 10, 10, 0.9, 1))], LIMITS, 0.01, overlaps_in_image)
    assert (agreement.pairs, agreement.alone, agreement.paired) == (0, 2, 0.0)


def test_a_box_just_above_the_threshold_may_be_missing() -> None:
    near, far = found((0, 0, 10, 10, 0.305, 0)), found((0, 0, 10, 10, 0.4, 0))
    assert match([near], [found()], LIMITS, 0.01, overlaps_in_image).alone == 0
    assert match([far], [found()], LIMITS, 0.01, overlaps_in_image).alone == 1


def test_the_last_of_a_full_list_may_be_another() -> None:
    """Of two boxes with nearly one score, each model lists the one that is a little better with it."""
    first, second = (0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.8, 0)
    one, other = found(first, second, (40, 0, 50, 10, 0.701, 0)), found(first, second, (60, 0, 70, 10, 0.7, 0))
    assert match([one], [other], LIMITS, 0.01, overlaps_in_image).alone == 0
    assert match([one], [found(first, second)], LIMITS, 0.01, overlaps_in_image).alone == 1
    assert match([one], [found(first, second, (60, 0, 70, 10, 0.5, 0))], LIMITS, 0.01, overlaps_in_image).alone == 1


def test_a_full_list_may_have_lost_boxes_outside_the_photo() -> None:
    limits = Thresholds(confidence=0.3, iou=0.6, max_detections=10)
    rows = [(20 * i, 0, 20 * i + 10, 10, 0.9, 0) for i in range(8)]
    one, other = found(*rows, (400, 0, 410, 10, 0.801, 0)), found(*rows, (500, 0, 510, 10, 0.8, 0))
    assert match([one], [other], limits, 0.01, overlaps_in_image).alone == 0
    assert match([one], [found(*rows)], limits, 0.01, overlaps_in_image).alone == 1


def test_nothing_and_nothing_agree() -> None:
    assert match([found()], [found()], LIMITS, 0.01, overlaps_in_image).paired == 1.0


def test_each_box_has_one_partner_and_the_best_overlap_wins() -> None:
    one = found((0, 0, 10, 10, 0.9, 0))
    two = found((2, 0, 12, 10, 0.8, 0), (0, 0, 10, 10, 0.9, 0))
    agreement = match([one], [two], LIMITS, 0.01, overlaps_in_image)
    assert (agreement.pairs, agreement.exact, agreement.alone) == (1, 1, 1)
