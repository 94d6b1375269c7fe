"""Outputs that are boxes already: `boxes` (B, K, 4) and `scores` (B, K, C)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot_ai.perception.decoders.checks import finite_item, require_options, require_outputs
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext, Outputs


class BoxesDecoder:
    """Reads xyxy boxes in network pixels and one score per class.

    Each box takes its best class and is clipped to the input.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        require_options("boxes", options, {})
        require_outputs("boxes", context, {"boxes": (None, None, 4), "scores": (None, None, context.num_classes)})
        if context.outputs["boxes"][1] != context.outputs["scores"][1]:
            # As many scores as boxes: the same check, with the number of boxes filled in.
            count = context.outputs["boxes"][1]
            require_outputs("boxes", context, {"boxes": (None, count, 4), "scores": (None, count, context.num_classes)})
        self._limits = np.array([context.width, context.height] * 2, np.float32)

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item. Raises NonFiniteOutputError."""
        boxes = finite_item(outputs, "boxes", item)
        scores = finite_item(outputs, "scores", item)
        classes = scores.argmax(axis=1)
        best = scores[np.arange(len(scores)), classes]
        # A score of nought is an empty slot of a fixed-size output, whatever the threshold.
        kept = np.flatnonzero((best >= confidence) & (best > 0))
        clipped = np.clip(boxes[kept].astype(np.float32), 0, self._limits)
        return Candidates(clipped, best[kept].astype(np.float32), classes[kept].astype(np.int64))
