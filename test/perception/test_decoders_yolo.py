"""The YOLO family's decoders against plain loops over rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from decoding import CLASSES, HEIGHT, WIDTH, Row, assert_same, build, clipped, from_center, rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import (
    ClassIndexError,
    DecoderOptionError,
    NonFiniteOutputError,
    OutputMismatchError,
    ScoreRangeError,
)

CELLS = {8: 32, 16: 8}
Table = NDArray[np.float32]


def table(seed: int, count: int = 40, objectness: bool = False, batch: int = 2) -> Table:
    """Rows of a box in pixels and scores, (batch, count, 4 or 5 + classes)."""
    generator = np.random.default_rng(seed)
    centers = generator.random((batch, count, 2)) * (WIDTH, HEIGHT)
    sizes = generator.random((batch, count, 2)) * (WIDTH, HEIGHT)
    scores = generator.random((batch, count, CLASSES + objectness))
    return np.concatenate([centers, sizes, scores], axis=2).astype(np.float32)


def chosen(scores: list[float], confidence: float, multi_label: bool) -> list[tuple[float, int]]:
    """Scores and classes that one row gives."""
    listed = [(np.float32(score), index) for index, score in enumerate(scores)]
    if not multi_label:
        listed = [max(listed, key=lambda pair: pair[0])]
    return [(float(score), index) for score, index in listed if score >= confidence]


def expected(array: Table, item: int, confidence: float, objectness: bool, multi_label: bool) -> list[Row]:
    found = []
    for row in array[item]:
        scores = [row[4] * score for score in row[5:]] if objectness else list(row[4:])
        box = from_center(*row[:4].tolist(), reach=4)
        found += [(score, index, *box) for score, index in chosen(scores, confidence, multi_label)]
    return found


@given(
    seed=st.integers(0, 2**32),
    confidence=st.floats(0, 1, width=32),
    item=st.integers(0, 1),
    objectness=st.booleans(),
    multi_label=st.booleans(),
    transposed=st.booleans(),
)
def test_plain_boxes_equal_the_plain_loop(
    *, seed: int, confidence: float, item: int, objectness: bool, multi_label: bool, transposed: bool
) -> None:
    array = table(seed, objectness=objectness)
    outputs = {"predictions": array.transpose(0, 2, 1) if transposed else array}
    decoder = build("yolov5" if objectness else "yolov8", outputs, {"multi_label": multi_label})
    found = rows(decoder.decode(outputs, item, confidence))
    assert_same(found, expected(array, item, confidence, objectness, multi_label))


@pytest.mark.parametrize("name", ["yolov8", "yolov5"])
def test_normalized_boxes_are_parts_of_the_input(name: str) -> None:
    array = table(3, objectness=name == "yolov5")
    scaled = array / ([WIDTH, HEIGHT, WIDTH, HEIGHT] + [1] * (array.shape[2] - 4))
    found = build(name, {"predictions": array}).decode({"predictions": array}, 0, 0.4)
    same = build(name, {"predictions": scaled}, {"normalized": True}).decode({"predictions": scaled}, 0, 0.4)
    assert_same(rows(same), rows(found))


def test_yolo11_is_read_as_yolov8() -> None:
    outputs = {"predictions": table(4).transpose(0, 2, 1)}
    first, second = (build(name, outputs).decode(outputs, 0, 0.5) for name in ("yolov8", "yolo11"))
    assert rows(first) == rows(second)


@given(st.integers(0, 2**32), st.floats(0, 1, width=32), st.booleans(), st.booleans())
def test_yolox_equals_the_plain_loop(seed: int, confidence: float, decoded: bool, transposed: bool) -> None:
    generator = np.random.default_rng(seed)
    array = table(seed, count=40, objectness=True)
    if not decoded:
        array[..., :4] = generator.normal(0, 1.5, (2, 40, 4))
    outputs = {"predictions": array.transpose(0, 2, 1) if transposed else array}
    decoder = build("yolox", outputs, {"strides": [8, 16], "decoded": decoded})
    wanted = array.astype(np.float64)
    start = 0
    for stride, count in CELLS.items():
        for cell in range(0 if decoded else count):
            row = wanted[1, start + cell]
            row[0] = (row[0] + cell % (WIDTH // stride)) * stride
            row[1] = (row[1] + cell // (WIDTH // stride)) * stride
            row[2:4] = [math.exp(value) * stride for value in row[2:4]]
        start += count
    wanted[..., 4:] = array[..., 4:]
    found = rows(decoder.decode(outputs, 1, confidence))
    scores = [chosen([row[4] * score for score in row[5:]], confidence, False) for row in array[1]]
    listed = [
        (score, index, *from_center(*box[:4].tolist(), reach=4))
        for box, picked in zip(wanted[1], scores, strict=True)
        for score, index in picked
    ]
    assert_same(found, listed)


def test_an_enormous_logarithm_stays_finite() -> None:
    array = table(1, objectness=True)
    array[..., 2:4] = 1e30
    found = build("yolox", {"predictions": array}, {"strides": [8, 16]}).decode({"predictions": array}, 0, 0)
    assert np.isfinite(found.xyxy).all()


def test_yolox_needs_a_row_for_each_cell() -> None:
    array = table(1, count=41, objectness=True)
    with pytest.raises(OutputMismatchError, match=r"predictions \(batch, 40, 8\).*predictions \(batch, 41, 8\)"):
        build("yolox", {"predictions": array}, {"strides": [8, 16]})
    with pytest.raises(DecoderOptionError, match="stride 24 does not divide the input of 64x32"):
        build("yolox", {"predictions": array}, {"strides": [24]})


@given(
    seed=st.integers(0, 2**32),
    confidence=st.floats(0, 1, width=32),
    item=st.integers(0, 1),
    normalized=st.booleans(),
    order=st.sampled_from(["xyxy", "cxcywh"]),
)
def test_end_to_end_rows_equal_the_plain_loop(
    seed: int, confidence: float, item: int, normalized: bool, order: str
) -> None:
    generator = np.random.default_rng(seed)
    array = np.zeros((2, 20, 6), np.float32)
    array[..., :4] = generator.normal(0.5, 0.5, (2, 20, 4)) * ([1] * 4 if normalized else [WIDTH, HEIGHT] * 2)
    array[..., 4] = generator.random((2, 20)) * (generator.random((2, 20)) > 0.3)
    array[..., 5] = generator.integers(0, CLASSES, (2, 20))
    outputs = {"detections": array}
    found = build("yolo26", outputs, {"normalized": normalized, "box_order": order}).decode(outputs, item, confidence)
    wanted = []
    for *numbers, score, index in array[item].tolist():
        x, y = (WIDTH, HEIGHT) if normalized else (1, 1)
        box = (numbers[0] * x, numbers[1] * y, numbers[2] * x, numbers[3] * y)
        edges = clipped(*box) if order == "xyxy" else from_center(*box)
        if score >= confidence and score > 0:
            wanted.append((score, index, *edges))
    assert_same(rows(found), wanted)


@pytest.mark.parametrize("most", [1, 7, 40, 41])
def test_the_best_candidates_are_kept(most: int) -> None:
    outputs = {"predictions": table(5).transpose(0, 2, 1)}
    found = rows(build("yolov8", outputs, {"max_candidates": most}).decode(outputs, 0, 0))
    everything = rows(build("yolov8", outputs).decode(outputs, 0, 0))
    assert found == everything[-most:]


@pytest.mark.parametrize("name", ["yolov8", "yolov5", "yolox", "yolo26"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_in_its_item_only(name: str, value: float) -> None:
    array = table(2, objectness=name != "yolov8")
    if name == "yolo26":
        array = np.concatenate([array[..., :5] % 1, array[..., :1] * 0], axis=2)
    output = "detections" if name == "yolo26" else "predictions"
    array[1, 3, 1] = value
    decoder = build(name, {output: array}, {"strides": [8, 16]} if name == "yolox" else {})
    decoder.decode({output: array}, 0, 0.5)
    with pytest.raises(NonFiniteOutputError, match=f"output '{output}' holds 1 NaN or infinite of"):
        decoder.decode({output: array}, 1, 0.5)


def test_logits_are_told_from_scores() -> None:
    array = table(2)
    array[0, 0, 4] = 7.25
    with pytest.raises(ScoreRangeError, match=r"a score is 7.25; expected probabilities from 0 to 1"):
        build("yolov8", {"predictions": array}).decode({"predictions": array}, 0, 0.5)


def test_a_score_a_rounding_past_one_is_one() -> None:
    """Detections refuse a score above 1, and 8-bit outputs may give 1.004."""
    array = table(2)
    array[0, 0, 4] = 1.004
    assert build("yolov8", {"predictions": array}).decode({"predictions": array}, 0, 0.5).scores.max() == 1


@pytest.mark.parametrize("index", [-1, 3, 90])
def test_a_class_without_a_label_is_refused(index: int) -> None:
    array = np.array([[[0, 0, 8, 8, 0.9, index]]], np.float32)
    with pytest.raises(ClassIndexError, match=rf"gives class {index} .* but the card has 3 labels"):
        build("yolo26", {"detections": array}).decode({"detections": array}, 0, 0.5)


def test_outputs_that_do_not_fit_are_shown_with_both_orders() -> None:
    with pytest.raises(
        OutputMismatchError,
        match=r"predictions \(batch, 8, any\) or predictions \(batch, any, 8\), for 3 labels.*\(batch, 40, 7\)",
    ):
        build("yolov5", {"predictions": table(0)})
    with pytest.raises(OutputMismatchError, match=r"The model gives: boxes \(batch, 40, 7\)"):
        build("yolov8", {"boxes": table(0)})
    with pytest.raises(OutputMismatchError, match=r"detections \(batch, any, 6\).*detections \(batch, 40, 7\)"):
        build("yolo26", {"detections": table(0)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"multi_label": 1}, "'multi_label' is 1; expected true or false"),
        ({"max_candidates": 0}, "'max_candidates' is 0; expected the most boxes"),
        ({"strides": [8]}, "no option strides; its options are multi_label"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DecoderOptionError, match=message):
        build("yolov8", {"predictions": table(0)}, options)
