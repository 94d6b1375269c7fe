"""Overlaps of boxes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.perception.boxes import intersection_over_union

boxes = st.tuples(*[st.floats(0, 100, width=32) for _ in range(4)]).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@given(st.lists(boxes, max_size=4), st.lists(boxes, max_size=4))
def test_overlap_is_symmetric_and_between_0_and_1(one: list, other: list) -> None:
    a, b = (np.array(x, np.float32).reshape(-1, 4) for x in (one, other))
    overlaps = intersection_over_union(a, b)
    assert overlaps.shape == (len(one), len(other))
    assert ((overlaps >= 0) & (overlaps <= 1 + 1e-6)).all()
    np.testing.assert_allclose(overlaps, intersection_over_union(b, a).T)
