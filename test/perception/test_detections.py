"""What counts as a valid set of detections."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from robot_ai.perception.detections import Detections
from robot_ai.perception.errors import DetectionsError

LABELS = ("cat", "dog", "cup")


def detections(**changes) -> Detections:
    fields = {
        "xyxy": np.array([[0, 0, 10, 20], [5, 5, 6, 6]], np.float32),
        "scores": np.array([0.9, 0.5], np.float32),
        "class_indices": np.array([2, 0], np.int64),
        "labels": LABELS,
    } | changes
    return Detections(**fields)


def boxes(*rows) -> np.ndarray:
    return np.array(rows, np.float32)


GOOD = boxes([0, 0, 10, 20], [5, 5, 6, 6])

INVALID = {
    "fewer boxes": ({"xyxy": GOOD[:1]}, r"disagree in shape: boxes \(1, 4\), scores \(2,\)"),
    "fewer scores": ({"scores": np.array([0.9], np.float32)}, "disagree in shape"),
    "fewer classes": ({"class_indices": np.array([2])}, "disagree in shape"),
    "three coordinates": ({"xyxy": GOOD[:, :3]}, "disagree in shape"),
    "flat boxes": ({"xyxy": GOOD.ravel()}, "disagree in shape"),
    "scores as a column": ({"scores": np.array([[0.9], [0.5]], np.float32)}, "disagree in shape"),
    "one bare score": ({"scores": np.float32(0.5)}, "disagree in shape"),
    "NaN in a box": ({"xyxy": boxes([0, 0, np.nan, 20], [5, 5, 6, 6])}, "NaN or infinity"),
    "infinite box": ({"xyxy": boxes([0, 0, np.inf, 20], [5, 5, 6, 6])}, "NaN or infinity"),
    "NaN score": ({"scores": np.array([np.nan, 0.5], np.float32)}, "NaN or infinity"),
    "right before left": ({"xyxy": boxes([10, 0, 9, 20], [5, 5, 6, 6])}, "right or bottom edge lies before"),
    "bottom before top": ({"xyxy": boxes([0, 21, 10, 20], [5, 5, 6, 6])}, "right or bottom edge lies before"),
    "score above one": ({"scores": np.array([0.9, 1.01], np.float32)}, "score lies outside 0-1: 0.9 to 1.01"),
    "score below nought": ({"scores": np.array([-0.1, 0.5], np.float32)}, "score lies outside 0-1: -0.1 to 0.5"),
    "class past the labels": ({"class_indices": np.array([3, 0])}, "outside the 3 labels: 0 to 3"),
    "negative class": ({"class_indices": np.array([-1, 0])}, "outside the 3 labels: -1 to 0"),
    "no labels": ({"labels": ()}, "outside the 0 labels"),
}


@pytest.mark.parametrize("fault", INVALID)
def test_invalid_arrays_are_refused(fault):
    changes, message = INVALID[fault]
    with pytest.raises(DetectionsError, match=message):
        detections(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scores": np.array([0.0, 1.0], np.float32)},
        {"xyxy": boxes([3, 3, 3, 3], [-5, -5, 6, 6])},
        {"class_indices": np.array([2, 2])},
    ],
)
def test_limits_are_inclusive(changes):
    assert len(detections(**changes)) == 2


def test_names_are_the_labels_of_the_classes():
    assert detections().names == ["cup", "cat"]


def test_empty_is_valid_and_has_the_documented_types():
    empty = Detections.empty(LABELS)
    assert len(empty) == 0
    assert empty.names == []
    assert empty.xyxy.shape == (0, 4)
    assert (empty.xyxy.dtype, empty.scores.dtype, empty.class_indices.dtype) == (np.float32, np.float32, np.int64)
    assert empty.labels == LABELS


def test_fields_cannot_be_replaced():
    with pytest.raises(dataclasses.FrozenInstanceError):
        detections().scores = np.zeros(2, np.float32)  # type: ignore[misc]
