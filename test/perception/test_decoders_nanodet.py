"""NanoDet's decoder against a straightforward loop over cells, sides and bins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import (
    DecoderOptionError,
    NonFiniteOutputError,
    OutputMismatchError,
    UnknownDecoderError,
)
from robot_ai.perception.decoders.protocol import Decoder, DecoderContext
from robot_ai.perception.decoders.registry import create_decoder

HEIGHT, WIDTH, CLASSES, BINS, STRIDES = 32, 64, 3, 5, (8, 16)

Outputs = dict[str, NDArray[Any]]


def context(**changes: Any) -> DecoderContext:
    outputs: dict[str, tuple[int | None, ...]] = {}
    for stride in STRIDES:
        cells = (HEIGHT // stride) * (WIDTH // stride)
        outputs[f"scores_{stride}"] = (None, cells, CLASSES)
        outputs[f"distances_{stride}"] = (None, cells, 4 * BINS)
    return DecoderContext(**{"height": HEIGHT, "width": WIDTH, "num_classes": CLASSES, "outputs": outputs, **changes})


def decoder(**options: Any) -> Decoder:
    return create_decoder("nanodet", {"strides": list(STRIDES), "bins": BINS, **options}, context())


def random_outputs(seed: int, spread: float = 3, batch: int = 1) -> Outputs:
    generator = np.random.default_rng(seed)
    outputs: Outputs = {}
    for stride in STRIDES:
        cells = (HEIGHT // stride) * (WIDTH // stride)
        outputs[f"scores_{stride}"] = generator.random((batch, cells, CLASSES), np.float32)
        outputs[f"distances_{stride}"] = generator.normal(0, spread, (batch, cells, 4 * BINS)).astype(np.float32)
    return outputs


def expected(outputs: Outputs, item: int, confidence: float) -> list[tuple[float, ...]]:
    """(score, class, left, top, right, bottom), by the formula in plain Python."""
    found = []
    for stride in STRIDES:
        columns = WIDTH // stride
        for cell, scores in enumerate(outputs[f"scores_{stride}"][item].tolist()):
            x, y = (cell % columns + 0.5) * stride, (cell // columns + 0.5) * stride
            logits = outputs[f"distances_{stride}"][item][cell].tolist()
            sides = []
            for side in range(4):
                bins = logits[side * BINS : (side + 1) * BINS]
                weights = [math.exp(value - max(bins)) for value in bins]
                sides.append(stride * sum(n * weight for n, weight in enumerate(weights)) / sum(weights))
            box = (
                max(0.0, x - sides[0]),
                max(0.0, y - sides[1]),
                min(float(WIDTH), x + sides[2]),
                min(float(HEIGHT), y + sides[3]),
            )
            found += [(score, index, *box) for index, score in enumerate(scores) if score >= confidence]
    return sorted(found)


def decoded(decoder: Decoder, outputs: Outputs, item: int, confidence: float) -> list[tuple[float, ...]]:
    candidates = decoder.decode(outputs, item, confidence)
    assert candidates.xyxy.shape == (len(candidates), 4)
    assert candidates.xyxy.dtype == candidates.scores.dtype == np.float32
    assert candidates.class_indices.dtype == np.int64
    columns = zip(candidates.scores.tolist(), candidates.class_indices.tolist(), candidates.xyxy.tolist(), strict=True)
    return sorted((score, index, *box) for score, index, box in columns)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.1, 3, 50, 1e4]), st.floats(0, 1, width=32), st.integers(0, 1))
def test_decoding_equals_the_plain_loop(seed: int, spread: float, confidence: float, item: int) -> None:
    outputs = random_outputs(seed, spread, batch=2)
    found = decoded(decoder(), outputs, item, confidence)
    wanted = expected(outputs, item, confidence)
    assert len(found) == len(wanted)
    np.testing.assert_allclose(np.array(found).reshape(-1, 6), np.array(wanted).reshape(-1, 6), atol=1e-3, rtol=1e-5)


def test_half_precision_outputs_are_decoded() -> None:
    outputs = {name: array.astype(np.float16) for name, array in random_outputs(1).items()}
    np.testing.assert_allclose(decoded(decoder(), outputs, 0, 0.5), expected(outputs, 0, 0.5), atol=1e-3, rtol=1e-4)


def test_a_certain_bin_gives_its_distance() -> None:
    outputs = {name: np.zeros_like(array) for name, array in random_outputs(0).items()}
    outputs["scores_8"][0, 9, 2] = 0.75  # second row, second of 8 columns: center (12, 12)
    for side, bin_index in enumerate((1, 0, 4, 2)):
        outputs["distances_8"][0, 9, side * BINS + bin_index] = 100
    assert decoded(decoder(), outputs, 0, 0.5) == [(0.75, 2, 4, 12, 44, 28)]


def test_a_score_at_the_threshold_is_kept() -> None:
    outputs = {name: np.zeros_like(array) for name, array in random_outputs(0).items()}
    outputs["scores_16"][0, 0, 0] = 0.5
    assert len(decoder().decode(outputs, 0, 0.5)) == 1
    assert len(decoder().decode(outputs, 0, 0.500001)) == 0


@pytest.mark.parametrize("most", [1, 7, 119, 120, 121])
def test_the_best_candidates_are_kept_over_all_strides(most: int) -> None:
    outputs = random_outputs(5)
    found = decoded(decoder(max_candidates=most), outputs, 0, 0)
    everything = expected(outputs, 0, 0)
    assert len(everything) == 120
    assert [row[0] for row in found] == [row[0] for row in everything[-most:]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["scores_8", "distances_16"])
def test_what_is_not_finite_is_refused_in_its_item_only(name: str, value: float) -> None:
    outputs = random_outputs(2, batch=2)
    outputs[name][1, 3, 1] = value
    decoder().decode(outputs, 0, 0.5)
    with pytest.raises(NonFiniteOutputError, match=rf"output '{name}' holds 1 NaN or infinite of \d+ values"):
        decoder().decode(outputs, 1, 0.5)


@pytest.mark.parametrize("strides", [None, [], "8", 8, [8, 8], [8.0], [0], [-8], [True], [[8]], {8: 1}])
def test_strides_that_are_none_are_refused(strides: Any) -> None:
    with pytest.raises(DecoderOptionError, match=r"'strides' is .*; expected a list of the strides"):
        decoder(strides=strides)


@pytest.mark.parametrize("key", ["bins", "max_candidates"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "5", None, True])
def test_counts_that_are_none_are_refused(key: str, value: Any) -> None:
    with pytest.raises(DecoderOptionError, match=f"'{key}' is .*; expected the "):
        decoder(**{key: value})


def test_a_stride_that_does_not_divide_the_input_is_refused() -> None:
    with pytest.raises(DecoderOptionError, match="stride 24 does not divide the input of 64x32"):
        decoder(strides=[24])


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DecoderOptionError, match="no option bin; its options are strides: "):
        decoder(bin=3)


def test_outputs_that_do_not_fit_are_shown() -> None:
    with pytest.raises(OutputMismatchError, match=r"scores_8 \(batch, 32, 4\)"):
        create_decoder("nanodet", {"strides": [8], "bins": BINS}, context(num_classes=4))


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(UnknownDecoderError, match="no decoder is named 'x'; expected one of boxes, centernet, "):
        create_decoder("x", {}, context())
