"""The test for NaN and infinity that every decoder makes."""

from __future__ import annotations

import numpy as np
import pytest

from robot_ai.perception.decoders.checks import finite_item
from robot_ai.perception.decoders.errors import NonFiniteOutputError


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]])
def test_each_kind_of_bad_value_is_found_and_counted(dtype, bad):
    values = np.ones((2, 50, 7), dtype)
    values[1].flat[3 : 3 + len(bad)] = bad
    with pytest.raises(NonFiniteOutputError, match=f"holds {len(bad)} NaN or infinite of 350"):
        finite_item({"scores": values}, "scores", 1)
    assert finite_item({"scores": values}, "scores", 0).shape == (50, 7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_whose_sum_overflows_are_finite_all_the_same(dtype):
    values = np.full((1, 100), np.finfo(dtype).max, dtype)
    assert finite_item({"scores": values}, "scores", 0) is not None


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_integers_pass(dtype):
    assert finite_item({"scores": np.full((1, 1000), 100, dtype)}, "scores", 0).sum() == 100_000


def test_an_empty_output_passes():
    assert finite_item({"scores": np.empty((1, 0, 4), np.float32)}, "scores", 0).shape == (0, 4)
