"""The decoder of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from decoding import CLASSES, HEIGHT, WIDTH, assert_same, build, rows, sigmoid, softmax
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import (
    DecoderOptionError,
    NonFiniteOutputError,
    OutputMismatchError,
    ScoreRangeError,
)
from robot_ai.perception.nms import suppress


def outputs_of(seed: int, classes: int = CLASSES) -> dict[str, NDArray[Any]]:
    return {"scores": np.random.default_rng(seed).normal(0, 2, (2, classes)).astype(np.float32)}


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.2003, 0.6007]), st.integers(0, 1), st.booleans())
def test_decoding_equals_the_plain_loop(seed: int, confidence: float, item: int, with_sigmoid: bool) -> None:
    outputs = outputs_of(seed)
    decoder = build("classification", outputs, {"activation": "sigmoid"} if with_sigmoid else {})
    logits = outputs["scores"][item].tolist()
    scores = [sigmoid(value) for value in logits] if with_sigmoid else softmax(logits)
    wanted = [(score, index, 0, 0, WIDTH, HEIGHT) for index, score in enumerate(scores) if score >= confidence]
    assert_same(rows(decoder.decode(outputs, item, confidence)), wanted)


def test_probabilities_need_no_activation() -> None:
    outputs = {"scores": np.array([[0.2, 0.7, 0.1]], np.float32)}
    found = build("classification", outputs, {"activation": "none"}).decode(outputs, 0, 0.15)
    assert_same(rows(found), [(0.2, 0, 0, 0, WIDTH, HEIGHT), (0.7, 1, 0, 0, WIDTH, HEIGHT)])
    outputs["scores"][0, 0] = 4
    with pytest.raises(ScoreRangeError, match="a score is 4"):
        build("classification", outputs, {"activation": "none"}).decode(outputs, 0, 0.15)


def test_classes_of_one_image_do_not_suppress_each_other() -> None:
    outputs = {"scores": np.array([[0.3, 0.45, 0.25]], np.float32)}
    found = build("classification", outputs, {"activation": "none"}).decode(outputs, 0, 0.2)
    assert suppress(found, 0.5, 10).class_indices.tolist() == [1, 0, 2]


def test_the_best_classes_are_kept() -> None:
    outputs = outputs_of(3, classes=50)
    found = build("classification", outputs, classes=50).decode(outputs, 0, 0)
    assert sorted(found.class_indices.tolist()) == sorted(np.argsort(outputs["scores"][0])[-5:].tolist())


def test_what_does_not_fit_is_refused() -> None:
    outputs = outputs_of(0)
    outputs["scores"][1, 0] = np.nan
    build("classification", outputs).decode(outputs, 0, 0.5)
    with pytest.raises(NonFiniteOutputError, match="output 'scores' holds 1 NaN"):
        build("classification", outputs).decode(outputs, 1, 0.5)
    with pytest.raises(OutputMismatchError, match=r"scores \(batch, 3\).*scores \(batch, 4\)"):
        build("classification", outputs_of(0, classes=4))
    with pytest.raises(DecoderOptionError, match="'top' is 0; expected the most classes given"):
        build("classification", outputs_of(0), {"top": 0})
