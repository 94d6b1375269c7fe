"""The compact message: fixed size, nothing lost on the way that fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from robot_ai.mcu.compact import MAX_ROWS, OFFSET, pack, serialized_size, unpack
from robot_ai.mcu.errors import CompactDetectionsError
from robot_ai.mcu.polar import PolarDetections

ROW = st.tuples(st.integers(-1, 1000), *[st.floats(-100, 100, width=32)] * 4)


@given(st.lists(ROW, max_size=30), st.integers(1, MAX_ROWS), st.floats(0, 100, width=32))
def test_what_fits_comes_back(rows, capacity, age) -> None:
    table = np.array(rows, float).reshape(-1, 5)
    detections = PolarDetections(table[:, 0].astype(np.int64), *table[:, 1:].T)
    data = pack(detections, capacity, age)
    assert data.size == OFFSET + 5 * capacity
    back, heard = unpack(data)
    assert heard == age
    assert len(back) == min(capacity, len(rows))
    assert np.array_equal(np.column_stack(list(vars(back).values())), table[:capacity])


def test_unused_rows_have_no_class() -> None:
    nothing = PolarDetections(np.empty(0, np.int64), *np.empty((4, 0)))
    assert pack(nothing, 2, 0.5).tolist() == [0, 0.5, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0]


@pytest.mark.parametrize("data", [[], [1.0], [2, 0, 1, 1, 1, 1, 1], [0.5, 0, 1, 1, 1, 1, 1], [0, 0, 1], [np.nan, 0]])
def test_other_numbers_are_refused(data) -> None:
    with pytest.raises(CompactDetectionsError, match="expected"):
        unpack(np.array(data, np.float32))


@given(arrays.arrays(np.float32, st.integers(0, 30)))
def test_hostile_numbers_raise_nothing_else(data) -> None:
    try:
        detections, _ = unpack(data)
    except CompactDetectionsError:
        return
    assert len(detections) <= MAX_ROWS


def test_the_largest_message_fits_one_best_effort_message() -> None:
    assert serialized_size(MAX_ROWS) <= 496 < serialized_size(MAX_ROWS + 1)
