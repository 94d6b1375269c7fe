"""Classifiers of whole images: one score per class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot_ai.perception.decoders.checks import finite_item, require_outputs
from robot_ai.perception.decoders.options import DecoderOptions
from robot_ai.perception.decoders.postprocess import best_mask, candidates, probabilities, sigmoid, softmax
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext, Outputs


class ClassificationDecoder:
    """Reads `scores` (B, classes): logits, or probabilities with the activation `none`.

    Each class whose score is at least the threshold is a detection that covers the whole image; so a classifier is
    published on the same topic as a detector.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        known = {
            "activation": "softmax or sigmoid for logits, none for probabilities (softmax when not given)",
            "top": "most classes given (5 when not given)",
        }
        read = DecoderOptions("classification", options, known)
        self._activation = read.choice("activation", ("softmax", "sigmoid", "none"), "softmax")
        self._top = read.count("top", 5)
        require_outputs("classification", context, {"scores": (None, context.num_classes)})
        self._context = context

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item. Raises NonFiniteOutputError, or ScoreRangeError for scores above 1."""
        values = finite_item(outputs, "scores", item)
        if self._activation == "none":
            scores = probabilities("classification", values)
        else:
            scores = softmax(values) if self._activation == "softmax" else sigmoid(values)
        classes = np.flatnonzero(scores >= confidence)
        classes = classes[best_mask(scores[classes], self._top)]
        whole = np.array([[0, 0, self._context.width, self._context.height]], np.float32)
        return candidates("classification", whole.repeat(len(classes), axis=0), scores[classes], classes, self._context)
