"""Exports that end in boxes already chosen: rows of a box, its score and its class.

Format: Ultralytics' end-to-end heads (YOLOv10, YOLO26) and its exports with `nms=True`; its RT-DETR, with other boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot_ai.perception.decoders.checks import finite_item, require_outputs
from robot_ai.perception.decoders.options import DecoderOptions
from robot_ai.perception.decoders.postprocess import candidates, probabilities, xyxy_from_center
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext, Outputs
from robot_ai.perception.decoders.yolo import NORMALIZED

OUTPUT = "detections"
OPTIONS = {
    **NORMALIZED,
    "box_order": "xyxy, or cxcywh for center, width and height, as in Ultralytics' RT-DETR (xyxy when not given)",
}


class EndToEndDecoder:
    """Reads `detections` (B, N, 6). A row whose score is nought is an empty slot.

    Boxes were chosen by the model: a card for it sets the threshold `iou` to 1, which drops no more of them.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        read = DecoderOptions("yolo26", options, OPTIONS)
        require_outputs("yolo26", context, {OUTPUT: (None, None, 6)})
        sides = (context.width, context.height) if read.flag("normalized", False) else (1, 1)
        self._scale = np.array(sides * 2, np.float32)
        self._from_center = read.choice("box_order", ("xyxy", "cxcywh"), "xyxy") == "cxcywh"
        self._context = context

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item. Raises NonFiniteOutputError, ScoreRangeError or ClassIndexError."""
        rows = finite_item(outputs, OUTPUT, item).astype(np.float32, copy=False)
        kept = rows[(rows[:, 4] >= confidence) & (rows[:, 4] > 0)]
        scores = probabilities("yolo26", kept[:, 4])
        classes = np.rint(kept[:, 5]).astype(np.int64)
        boxes = xyxy_from_center(kept[:, :4]) if self._from_center else kept[:, :4]
        return candidates("yolo26", boxes * self._scale, scores, classes, self._context)
