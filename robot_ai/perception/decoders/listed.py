"""Models that list their detections, one tensor per property: the TF Object Detection API and torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot_ai.perception.decoders.checks import Shape, finite_item, require_outputs
from robot_ai.perception.decoders.options import DecoderOptions
from robot_ai.perception.decoders.postprocess import candidates, probabilities
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext, Outputs

FIRST_CLASS = "number that the model gives to the first label"


class SsdDecoder:
    """Reads `boxes` (B, N, 4), `classes` (B, N), `scores` (B, N) and, where the model has it, `count` (B) or (B, 1).

    Format: exports of the TF Object Detection API (https://github.com/tensorflow/models, research/object_detection) and
    the TFLite operator TFLite_Detection_PostProcess. Boxes are top, left, bottom, right as parts of the input's sides
    unless the options say otherwise. The API counts classes from 1, the TFLite operator from 0.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        known = {
            "first_class": f"{FIRST_CLASS}, such as 0 for TFLite's operator (1 when not given)",
            "box_order": "yxyx or xyxy (yxyx when not given)",
            "normalized": "whether boxes are parts of the input's sides instead of pixels (true when not given)",
        }
        read = DecoderOptions("ssd", options, known)
        slots = next((shape[1] for shape in context.outputs.values() if len(shape) > 1 and shape[1]), None)
        expected: dict[str, Shape] = {"boxes": (None, slots, 4), "classes": (None, slots), "scores": (None, slots)}
        if "count" in context.outputs:
            expected["count"] = (None, 1) if len(context.outputs["count"]) == 2 else (None,)
        require_outputs("ssd", context, expected)
        self._first = read.count("first_class", 1, low=0)
        self._order = [1, 0, 3, 2] if read.choice("box_order", ("yxyx", "xyxy"), "yxyx") == "yxyx" else [0, 1, 2, 3]
        sides = (context.width, context.height) if read.flag("normalized", True) else (1, 1)
        self._scale = np.array(sides * 2, np.float32)
        self._has_count = "count" in context.outputs
        self._context = context

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item. Raises NonFiniteOutputError, ScoreRangeError or ClassIndexError."""
        boxes = finite_item(outputs, "boxes", item)
        scores = finite_item(outputs, "scores", item)
        classes = finite_item(outputs, "classes", item)
        if self._has_count:
            scores = scores[: max(0, round(float(finite_item(outputs, "count", item).reshape(-1)[0])))]
        # A score of nought is an empty slot of a fixed-size output, whatever the threshold.
        kept = np.flatnonzero((scores >= confidence) & (scores > 0))
        return candidates(
            "ssd",
            boxes[kept][:, self._order] * self._scale,
            probabilities("ssd", scores[kept]),
            np.rint(classes[kept]).astype(np.int64) - self._first,
            self._context,
        )


class TorchvisionDecoder:
    """Reads `boxes` (B, N, 4), xyxy in network pixels, `labels` (B, N) and `scores` (B, N).

    Format: torchvision.models.detection in evaluation mode. Its class 0 is the background, so that the first label of
    the card is class 1 unless the options say otherwise.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        read = DecoderOptions("torchvision", options, {"first_class": f"{FIRST_CLASS} (1 when not given)"})
        require_outputs(
            "torchvision", context, {"boxes": (None, None, 4), "labels": (None, None), "scores": (None, None)}
        )
        self._first = read.count("first_class", 1, low=0)
        self._context = context

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item. Raises NonFiniteOutputError, ScoreRangeError or ClassIndexError."""
        boxes = finite_item(outputs, "boxes", item)
        scores = finite_item(outputs, "scores", item)
        labels = finite_item(outputs, "labels", item)
        kept = np.flatnonzero((scores >= confidence) & (scores > 0))
        classes = labels[kept].astype(np.int64) - self._first
        return candidates(
            "torchvision", boxes[kept], probabilities("torchvision", scores[kept]), classes, self._context
        )
