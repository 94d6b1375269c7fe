"""The decoders of models that list their detections against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from decoding import CLASSES, HEIGHT, WIDTH, assert_same, build, clipped, rows
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

Outputs = dict[str, NDArray[Any]]


def listed(seed: int, classes: str, first: int, slots: int = 12) -> Outputs:
    generator = np.random.default_rng(seed)
    return {
        "boxes": generator.normal(0.5, 0.4, (2, slots, 4)).astype(np.float32),
        classes: generator.integers(first, first + CLASSES, (2, slots)),
        "scores": (generator.random((2, slots)) * (generator.random((2, slots)) > 0.3)).astype(np.float32),
    }


@given(
    seed=st.integers(0, 2**32),
    confidence=st.floats(0, 1, width=32),
    item=st.integers(0, 1),
    order=st.sampled_from(["yxyx", "xyxy"]),
    normalized=st.booleans(),
    first=st.integers(0, 1),
    count_shape=st.sampled_from([None, (2,), (2, 1)]),
)
def test_ssd_equals_the_plain_loop(
    *,
    seed: int,
    confidence: float,
    item: int,
    order: str,
    normalized: bool,
    first: int,
    count_shape: tuple[int, ...] | None,
) -> None:
    outputs = listed(seed, "classes", first)
    outputs["classes"] = outputs["classes"].astype(np.float32)
    count = 12
    if count_shape:
        count = seed % 14
        outputs["count"] = np.full(count_shape, count, np.float32)
    if not normalized:
        outputs["boxes"] = outputs["boxes"] * np.float32(WIDTH)
    options = {"box_order": order, "normalized": normalized, "first_class": first}
    found = rows(build("ssd", outputs, options).decode(outputs, item, confidence))
    wanted = []
    for slot in range(min(count, 12)):
        box = outputs["boxes"][item, slot].tolist()
        if order == "yxyx":
            box = [box[1], box[0], box[3], box[2]]
        if normalized:
            box = [box[0] * WIDTH, box[1] * HEIGHT, box[2] * WIDTH, box[3] * HEIGHT]
        score = float(outputs["scores"][item, slot])
        if score >= confidence and score > 0:
            wanted.append((score, outputs["classes"][item, slot] - first, *clipped(*box)))
    assert_same(found, wanted)


@given(st.integers(0, 2**32), st.floats(0, 1, width=32), st.integers(0, 1), st.integers(0, 1))
def test_torchvision_equals_the_plain_loop(seed: int, confidence: float, item: int, first: int) -> None:
    outputs = listed(seed, "labels", first)
    outputs["boxes"] = outputs["boxes"] * np.float32(WIDTH)
    found = rows(build("torchvision", outputs, {"first_class": first}).decode(outputs, item, confidence))
    wanted = [
        (score, label - first, *clipped(*box))
        for box, label, score in zip(
            outputs["boxes"][item].tolist(),
            outputs["labels"][item].tolist(),
            outputs["scores"][item].tolist(),
            strict=True,
        )
        if score >= confidence and score > 0
    ]
    assert_same(found, wanted)


def test_classes_count_from_one_unless_told_otherwise() -> None:
    for name, key in (("ssd", "classes"), ("torchvision", "labels")):
        outputs = listed(1, key, 1)
        outputs[key][:] = 1
        assert set(build(name, outputs).decode(outputs, 0, 0).class_indices.tolist()) == {0}


def test_no_detection_at_all_is_no_fault() -> None:
    full = listed(0, "labels", 1)
    nothing = {name: array[:, :0] for name, array in full.items()}
    assert len(build("torchvision", full).decode(nothing, 0, 0.5)) == 0


@pytest.mark.parametrize(("name", "key"), [("ssd", "classes"), ("torchvision", "labels")])
def test_a_class_without_a_label_is_refused_only_where_it_is_detected(name: str, key: str) -> None:
    outputs = listed(1, key, 1)
    outputs[key][0, 3] = 91
    outputs["scores"][0, 3] = 0
    build(name, outputs).decode(outputs, 0, 0)
    outputs["scores"][0, 3] = 0.9
    with pytest.raises(ClassIndexError, match="gives class 90"):
        build(name, outputs).decode(outputs, 0, 0.5)


@pytest.mark.parametrize("output", ["boxes", "scores", "classes", "count"])
def test_what_is_not_finite_is_refused_in_its_item_only(output: str) -> None:
    outputs = listed(1, "classes", 1) | {"count": np.full((2, 1), 12, np.float32)}
    outputs = {name: array.astype(np.float32) for name, array in outputs.items()}
    outputs[output][1, 0] = np.nan
    decoder = build("ssd", outputs)
    decoder.decode(outputs, 0, 0.5)
    with pytest.raises(NonFiniteOutputError, match=f"output '{output}' holds"):
        decoder.decode(outputs, 1, 0.5)


def test_scores_that_are_classes_are_told() -> None:
    """TFLite exports name neither: a mix-up of the two must not pass."""
    outputs = listed(1, "classes", 1)
    outputs["scores"], outputs["classes"] = outputs["classes"] + 1.0, outputs["scores"]
    with pytest.raises(ScoreRangeError, match="its outputs are mixed up"):
        build("ssd", outputs).decode(outputs, 0, 0.5)


def test_outputs_that_do_not_fit_are_shown() -> None:
    outputs = listed(1, "classes", 1)
    with pytest.raises(OutputMismatchError, match=r"scores \(batch, 12\).*scores \(batch, 11\)"):
        build("ssd", outputs | {"scores": outputs["scores"][:, :11]})
    with pytest.raises(OutputMismatchError, match=r"count \(batch\).*count \(batch, 4, 4\)"):
        build("ssd", outputs | {"count": np.zeros((2, 4, 4))})
    with pytest.raises(OutputMismatchError, match=r"labels \(batch, any\).*classes \(batch, 12\)"):
        build("torchvision", outputs)


def test_wrong_options_are_refused() -> None:
    outputs = listed(1, "classes", 1)
    with pytest.raises(DecoderOptionError, match="'first_class' is -1; expected the number"):
        build("ssd", outputs, {"first_class": -1})
    with pytest.raises(DecoderOptionError, match="'box_order' is 'xywh'; expected one of yxyx, xyxy"):
        build("ssd", outputs, {"box_order": "xywh"})
    with pytest.raises(DecoderOptionError, match="no option normalized; its options are first_class"):
        build("torchvision", listed(1, "labels", 1), {"normalized": True})
