"""Suppression against a plain loop over all pairs, and the class filter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_ai.perception.decoders.errors import UnknownLabelError
from robot_ai.perception.decoders.protocol import Candidates
from robot_ai.perception.nms import class_mask, suppress

Box = tuple[float, float, float, float]
Row = tuple[Box, float, int]


def candidates(rows: list[Row]) -> Candidates:
    return Candidates(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([index for _, _, index in rows], np.int64),
    )


def rows_of(found: Candidates) -> list[Row]:
    boxes = [(box[0], box[1], box[2], box[3]) for box in found.xyxy.tolist()]
    return list(zip(boxes, found.scores.tolist(), found.class_indices.tolist(), strict=True))


def area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    inner = area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
    return inner / (area(one) + area(other) - inner)


def plain_suppression(rows: list[Row], iou: float, most: int, classes: list[bool] | None = None) -> list[Row]:
    rows = [row for row in rows if row[0][2] > row[0][0] and row[0][3] > row[0][1] and row[1] > 0]
    rows = [row for row in rows if classes is None or classes[row[2]]]
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: -row[1]):
        if all(row[2] != better[2] or overlap(row[0], better[0]) <= iou for better in kept):
            kept.append(row)
    return kept[:most]


coordinates = st.integers(0, 24)
boxes = st.tuples(coordinates, coordinates, coordinates, coordinates)  # some of them without area
# Whole 128ths, which float32 holds; each only once, because nothing says which of two equal scores wins.
row_lists = st.lists(
    st.tuples(boxes, st.integers(0, 128).map(lambda n: n / 128), st.integers(0, 3)),
    max_size=30,
    unique_by=lambda row: row[1],
)


@settings(deadline=None, max_examples=300)
@given(
    row_lists,
    # No fraction of small whole numbers equals these, so that rounding decides nothing.
    st.sampled_from([0.0, 0.0501, 0.3001, 0.6001, 0.9001, 1.0]),
    st.integers(1, 40),
    st.one_of(st.none(), st.lists(st.booleans(), min_size=4, max_size=4)),
)
def test_suppression_equals_the_plain_loop(rows: list[Row], iou: float, most: int, classes: list[bool] | None) -> None:
    mask = None if classes is None else np.array(classes)
    found = suppress(candidates(rows), iou, most, mask)
    assert rows_of(found) == plain_suppression(rows, iou, most, classes)


@settings(deadline=None, max_examples=50)
@given(row_lists, st.integers(-5000, 5000))
def test_where_the_boxes_lie_does_not_matter(rows: list[Row], shift: int) -> None:
    moved = [((b[0] + shift, b[1] - shift, b[2] + shift, b[3] - shift), score, index) for b, score, index in rows]
    assert (
        suppress(candidates(moved), 0.5001, 40).scores.tolist()
        == suppress(candidates(rows), 0.5001, 40).scores.tolist()
    )


def test_classes_do_not_suppress_each_other() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    found = suppress(candidates([(box, 0.5, 0), (box, 0.75, 1), (box, 0.25, 1)]), 0.5, 10)
    assert rows_of(found) == [(box, 0.75, 1), (box, 0.5, 0)]


def test_tiny_boxes_far_apart_are_both_kept() -> None:
    rows: list[Row] = [((0, 0, 1e-9, 1e-9), 0.5, 0), ((9, 9, 9 + 1e-5, 9 + 1e-5), 0.75, 0)]
    assert len(suppress(candidates(rows), 0.5, 10)) == 2


def test_the_best_come_first_and_the_surplus_goes() -> None:
    rows: list[Row] = [((20 * n, 0, 20 * n + 10, 10), (n * 7 % 13 + 1) / 16, 0) for n in range(13)]
    assert suppress(candidates(rows), 0.5, 5).scores.tolist() == [n / 16 for n in (13, 12, 11, 10, 9)]


def test_nothing_in_nothing_out() -> None:
    found = suppress(candidates([]), 0.5, 10)
    assert (found.xyxy.shape, found.scores.shape, found.class_indices.shape) == ((0, 4), (0,), (0,))


def test_an_empty_filter_lets_all_pass() -> None:
    assert class_mask(("cat", "dog"), ()) is None


def test_the_filter_names_classes() -> None:
    mask = class_mask(("cat", "dog", "cow"), ("cow", "cat", "cow"))
    assert mask is not None
    assert mask.tolist() == [True, False, True]


def test_a_slip_of_spelling_is_answered_with_the_nearest_labels() -> None:
    with pytest.raises(UnknownLabelError, match=r"no class 'persn' among its 3 labels; did you mean 'person'\?"):
        class_mask(("person", "cat", "dog"), ("cat", "persn"))


def test_an_unlike_name_is_answered_with_all_labels() -> None:
    with pytest.raises(UnknownLabelError, match="no class 'zeppelin' among its 2 labels; labels: cat, dog"):
        class_mask(("cat", "dog"), ("zeppelin",))
