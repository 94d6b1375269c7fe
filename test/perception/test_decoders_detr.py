"""DETR's decoder against a plain loop over queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from decoding import CLASSES, HEIGHT, WIDTH, assert_same, build, from_center, rows, sigmoid, softmax
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import DecoderOptionError, NonFiniteOutputError, OutputMismatchError


def outputs_of(seed: int, columns: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(seed)
    return {
        "logits": generator.normal(0, 3, (2, 15, columns)).astype(np.float32),
        "boxes": generator.random((2, 15, 4)).astype(np.float32),
    }


@given(st.integers(0, 2**32), st.floats(0.01, 0.99), st.integers(0, 1), st.booleans())
def test_decoding_equals_the_plain_loop(seed: int, confidence: float, item: int, with_sigmoid: bool) -> None:
    outputs = outputs_of(seed, CLASSES if with_sigmoid else CLASSES + 1)
    decoder = build("detr", outputs, {"activation": "sigmoid"} if with_sigmoid else {})
    wanted = []
    for logits, (x, y, width, height) in zip(
        outputs["logits"][item].tolist(), outputs["boxes"][item].tolist(), strict=True
    ):
        box = from_center(x * WIDTH, y * HEIGHT, width * WIDTH, height * HEIGHT)
        if with_sigmoid:
            scores = [sigmoid(value) for value in logits]
            chosen = list(enumerate(scores))
        else:
            scores = softmax(logits)[:-1]
            chosen = [(scores.index(max(scores)), max(scores))]
        wanted += [(score, index, *box) for index, score in chosen if score >= confidence]
    if any(abs(row[0] - confidence) < 1e-5 for row in wanted):
        return  # whether it is kept is a matter of rounding
    assert_same(rows(decoder.decode(outputs, item, confidence)), wanted)


def test_an_enormous_logit_is_certainty() -> None:
    outputs = outputs_of(0, CLASSES + 1)
    outputs["logits"][0, 4] = (-1e30, 1e30, 0, 5)
    found = build("detr", outputs).decode(outputs, 0, 0.999999)
    assert 1.0 in found.scores.tolist()


def test_the_best_queries_are_kept() -> None:
    outputs = outputs_of(3, CLASSES + 1)
    found = rows(build("detr", outputs, {"max_candidates": 4}).decode(outputs, 0, 0))
    assert found == rows(build("detr", outputs).decode(outputs, 0, 0))[-4:]


@pytest.mark.parametrize("name", ["logits", "boxes"])
def test_what_is_not_finite_is_refused_in_its_item_only(name: str) -> None:
    outputs = outputs_of(1, CLASSES + 1)
    outputs[name][1, 2, 3] = np.inf
    build("detr", outputs).decode(outputs, 0, 0.5)
    with pytest.raises(NonFiniteOutputError, match=f"output '{name}' holds 1"):
        build("detr", outputs).decode(outputs, 1, 0.5)


def test_outputs_that_do_not_fit_are_shown() -> None:
    with pytest.raises(OutputMismatchError, match=r"logits \(batch, 15, 4\).*logits \(batch, 15, 3\)"):
        build("detr", outputs_of(0, CLASSES))
    outputs = outputs_of(0, CLASSES + 1)
    with pytest.raises(OutputMismatchError, match=r"logits \(batch, 9, 4\).*logits \(batch, 15, 4\)"):
        build("detr", outputs | {"boxes": outputs["boxes"][:, :9]})


def test_an_activation_that_is_none_is_refused() -> None:
    with pytest.raises(DecoderOptionError, match="'activation' is 'relu'; expected one of softmax, sigmoid"):
        build("detr", outputs_of(0, 4), {"activation": "relu"})
