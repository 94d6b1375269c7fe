"""DETR and its relatives: a fixed number of queries, each with class logits and a box.

Formula: Carion et al., 2020, arXiv:2005.12872 (softmax, the last class is "no object"); Zhu et al., 2020,
arXiv:2010.04159 and RT-DETR, Zhao et al., 2023, arXiv:2304.08069 (sigmoid, a query may be of several classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot_ai.perception.decoders.checks import finite_item, require_outputs
from robot_ai.perception.decoders.options import DecoderOptions
from robot_ai.perception.decoders.postprocess import (
    all_above,
    best_mask,
    best_per_row,
    candidates,
    sigmoid,
    softmax,
    xyxy_from_center,
)
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext, Outputs


class DetrDecoder:
    """Reads `logits` (B, Q, classes + 1), or (B, Q, classes) with the sigmoid, and `boxes` (B, Q, 4).

    Boxes are center x, center y, width, height as parts of the input's sides. A query gives no two boxes of one class,
    and the network is trained to give none twice: a card for it sets the threshold `iou` to 1.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        known = {
            "activation": "softmax, with a last class for no object, or sigmoid (softmax when not given)",
            "max_candidates": "most boxes given (300 when not given)",
        }
        read = DecoderOptions("detr", options, known)
        self._softmax = read.choice("activation", ("softmax", "sigmoid"), "softmax") == "softmax"
        self._max_candidates = read.count("max_candidates", 300)
        columns = context.num_classes + (1 if self._softmax else 0)
        queries = context.outputs.get("boxes", (None, None))[1:2]
        require_outputs("detr", context, {"logits": (None, *queries, columns), "boxes": (None, None, 4)})
        self._scale = np.array([context.width, context.height] * 2, np.float32)
        self._context = context

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item. Raises NonFiniteOutputError."""
        logits = finite_item(outputs, "logits", item)
        boxes = finite_item(outputs, "boxes", item)
        if self._softmax:
            rows, classes, scores = best_per_row(softmax(logits)[:, :-1], confidence)
        else:
            rows, classes, scores = all_above(sigmoid(logits), confidence)
        kept = best_mask(scores, self._max_candidates)
        xyxy = xyxy_from_center(boxes[rows[kept]]) * self._scale
        return candidates("detr", xyxy, scores[kept], classes[kept], self._context)
