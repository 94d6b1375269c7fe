"""CenterNet's decoder against a plain loop over cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from decoding import CLASSES, assert_same, build, clipped, rows, sigmoid
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import (
    DecoderOptionError,
    NonFiniteOutputError,
    OutputMismatchError,
    ScoreRangeError,
)

ROWS, COLUMNS, STRIDE = 8, 16, 4
Outputs = dict[str, NDArray[Any]]


def outputs_of(seed: int, levels: int = 1000) -> Outputs:
    """`levels` bounds the different values of the heat map, so that neighbors are often equal."""
    generator = np.random.default_rng(seed)
    return {
        "heatmap": (generator.integers(-levels, levels, (2, CLASSES, ROWS, COLUMNS)) / levels * 4).astype(np.float32),
        "size": generator.random((2, 2, ROWS, COLUMNS)).astype(np.float32) * 5,
        "offset": generator.random((2, 2, ROWS, COLUMNS)).astype(np.float32),
    }


def is_peak(plane: NDArray[Any], y: int, x: int) -> bool:
    around = plane[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
    return bool(plane[y, x] == around.max())


def expected(outputs: Outputs, item: int, confidence: float, unit: int) -> list[tuple[float, ...]]:
    found = []
    for index, plane in enumerate(outputs["heatmap"][item]):
        for y in range(ROWS):
            for x in range(COLUMNS):
                score = sigmoid(float(plane[y, x]))
                if score >= confidence and is_peak(plane, y, x):
                    left, top = (float(value) for value in outputs["offset"][item][:, y, x])
                    width, height = (float(value) * unit for value in outputs["size"][item][:, y, x])
                    center = ((x + left) * STRIDE, (y + top) * STRIDE)
                    box = (center[0] - width / 2, center[1] - height / 2, center[0] + width / 2, center[1] + height / 2)
                    found.append((score, index, *clipped(*box)))
    return found


@given(
    seed=st.integers(0, 2**32),
    confidence=st.sampled_from([0.0, 0.3017, 0.7313]),
    item=st.integers(0, 1),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    unit=st.sampled_from(["cells", "pixels"]),
    levels=st.sampled_from([3, 1000]),
)
def test_decoding_equals_the_plain_loop(
    *, seed: int, confidence: float, item: int, layout: str, unit: str, levels: int
) -> None:
    outputs = outputs_of(seed, levels)
    given_outputs = {k: a.transpose(0, 2, 3, 1) if layout == "NHWC" else a for k, a in outputs.items()}
    decoder = build("centernet", given_outputs, {"layout": layout, "size_unit": unit, "max_candidates": 1000})
    found = rows(decoder.decode(given_outputs, item, confidence))
    assert_same(found, expected(outputs, item, confidence, STRIDE if unit == "cells" else 1))


def test_probabilities_need_no_activation() -> None:
    outputs = outputs_of(1)
    chances = outputs | {"heatmap": 1 / (1 + np.exp(-outputs["heatmap"]))}
    found = build("centernet", chances, {"activation": "none"}).decode(chances, 0, 0.5)
    assert_same(rows(found), rows(build("centernet", outputs).decode(outputs, 0, 0.5)))
    with pytest.raises(ScoreRangeError, match="set the decoder's option 'activation'"):
        build("centernet", outputs, {"activation": "none"}).decode(outputs, 0, 0.5)


def test_the_best_peaks_are_kept() -> None:
    outputs = outputs_of(2)
    found = rows(build("centernet", outputs, {"max_candidates": 3}).decode(outputs, 0, 0))
    assert found == rows(build("centernet", outputs).decode(outputs, 0, 0))[-3:]


@pytest.mark.parametrize("name", ["heatmap", "size", "offset"])
def test_what_is_not_finite_is_refused_in_its_item_only(name: str) -> None:
    outputs = outputs_of(1)
    outputs[name][1, 0, 3, 3] = np.nan
    build("centernet", outputs).decode(outputs, 0, 0.5)
    with pytest.raises(NonFiniteOutputError, match=f"output '{name}' holds 1 NaN"):
        build("centernet", outputs).decode(outputs, 1, 0.5)


def test_outputs_that_do_not_fit_are_shown() -> None:
    with pytest.raises(OutputMismatchError, match=r"heatmap \(batch, 8, 16, 3\).*heatmap \(batch, 3, 8, 16\)"):
        build("centernet", outputs_of(0), {"layout": "NHWC"})
    with pytest.raises(OutputMismatchError, match=r"heatmap \(batch, 3, 4, 8\)"):
        build("centernet", outputs_of(0), {"stride": 8})
    with pytest.raises(DecoderOptionError, match="stride 5 does not divide the input of 64x32"):
        build("centernet", outputs_of(0), {"stride": 5})
