"""The decoder of networks that give boxes themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_ai.perception.decoders.errors import DecoderOptionError, NonFiniteOutputError, OutputMismatchError
from robot_ai.perception.decoders.protocol import Decoder, DecoderContext
from robot_ai.perception.decoders.registry import create_decoder


def decoder(boxes: tuple[int | None, ...] = (None, 4, 4), scores: tuple[int | None, ...] = (None, 4, 3)) -> Decoder:
    context = DecoderContext(height=32, width=64, num_classes=3, outputs={"boxes": boxes, "scores": scores})
    return create_decoder("boxes", {}, context)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1, width=32), st.integers(0, 1))
def test_each_box_takes_its_best_class(seed: int, confidence: float, item: int) -> None:
    generator = np.random.default_rng(seed)
    boxes = generator.uniform(0, 32, (2, 4, 4)).astype(np.float32)
    scores = generator.random((2, 4, 3), np.float32)
    scores[:, 3] = 0  # an empty slot

    found = decoder().decode({"boxes": boxes, "scores": scores}, item, confidence)

    wanted = []
    for box, row in zip(boxes[item].tolist(), scores[item].tolist(), strict=True):
        if max(row) >= confidence and max(row) > 0:
            wanted.append((box, max(row), row.index(max(row))))
    assert found.xyxy.tolist() == [box for box, _, _ in wanted]
    assert found.scores.tolist() == [score for _, score, _ in wanted]
    assert found.class_indices.tolist() == [index for _, _, index in wanted]
    assert (found.xyxy.dtype, found.scores.dtype, found.class_indices.dtype) == (np.float32, np.float32, np.int64)


def test_an_empty_slot_is_nothing_even_without_a_threshold() -> None:
    outputs = {"boxes": np.zeros((1, 4, 4), np.float32), "scores": np.zeros((1, 4, 3), np.float32)}
    assert len(decoder().decode(outputs, 0, 0)) == 0


def test_boxes_are_clipped_to_the_input() -> None:
    """One box at 1e30 would otherwise cost its neighbours all their precision in the suppression."""
    outputs = {"boxes": np.zeros((1, 4, 4), np.float32), "scores": np.zeros((1, 4, 3), np.float32)}
    outputs["boxes"][0, 0] = (-1e30, -5, 1e30, 40)
    outputs["scores"][0, 0, 1] = 0.5
    assert decoder().decode(outputs, 0, 0.3).xyxy.tolist() == [[0, 0, 64, 32]]


@pytest.mark.parametrize("name", ["boxes", "scores"])
def test_what_is_not_finite_is_refused_in_its_item_only(name: str) -> None:
    outputs = {"boxes": np.zeros((2, 4, 4), np.float32), "scores": np.zeros((2, 4, 3), np.float32)}
    outputs[name][1, 0, 0] = np.nan
    decoder().decode(outputs, 0, 0.5)
    with pytest.raises(NonFiniteOutputError, match=f"output '{name}' holds 1 NaN"):
        decoder().decode(outputs, 1, 0.5)


def test_outputs_that_do_not_fit_are_shown() -> None:
    with pytest.raises(OutputMismatchError, match=r"scores \(batch, any, 3\).*scores \(batch, 4, 2\)"):
        decoder(scores=(None, 4, 2))
    with pytest.raises(OutputMismatchError, match=r"scores \(batch, 4, 3\).*scores \(batch, 5, 3\)"):
        decoder(scores=(None, 5, 3))
    with pytest.raises(OutputMismatchError, match=r"boxes \(batch, any, 4\).*boxes \(batch, 4\)"):
        decoder(boxes=(None, 4))


def test_it_has_no_options() -> None:
    with pytest.raises(DecoderOptionError, match="no option bins; its options are none"):
        create_decoder("boxes", {"bins": 1}, DecoderContext(32, 64, 3, {}))
