"""Images through one loaded model: preprocess, forward pass, postprocess."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.loading import LoadedModel
from robot_ai.backends.protocol import Backend, Tensors
from robot_ai.models.artifacts import backend_of
from robot_ai.models.card import ModelCard
from robot_ai.perception.detections import Detections
from robot_ai.perception.nms import class_mask, suppress
from robot_ai.perception.preprocess import ImagePreprocessor
from robot_ai.perception.resize import Placement


@dataclass(frozen=True)
class DetectionSettings:
    """What may change between two frames. None takes the model card's value; an empty filter lets every class pass."""

    confidence: float | None = None
    iou: float | None = None
    max_detections: int | None = None
    class_filter: tuple[str, ...] = ()


@dataclass(frozen=True)
class DetectionResult:
    """Detections per image, in order, and the seconds that each stage took for the whole batch."""

    detections: list[Detections]
    durations: dict[str, float] = field(default_factory=dict)


class ImageDetector(LoadedModel):
    """A loaded model, ready to detect in images."""

    def __init__(self, card: ModelCard, backend_name: str, backend: Backend) -> None:
        super().__init__(card, backend_name, backend)
        self._input = card.image_for(backend_of(backend_name))
        self._preprocess = ImagePreprocessor(self._input)
        self._decoder = card.create_decoder()

    def check(self, settings: DetectionSettings) -> None:
        """Raises UnknownLabelError when the settings name a class that the model does not know."""
        class_mask(self.card.labels, settings.class_filter)

    def detect(self, images: Sequence[NDArray[np.uint8]], settings: DetectionSettings) -> DetectionResult:
        """Detects in a batch of BGR images (H, W, 3) uint8 of any sizes, in one forward pass.

        Raises InferenceError when the backend fails and NonFiniteOutputError when it gives NaN or infinity.
        """
        started = time.perf_counter()
        batch, placements = self._preprocess(images)
        preprocessed = time.perf_counter()
        outputs = self._backend.infer({self._input.name: batch})
        inferred = time.perf_counter()
        detections = [self._postprocess(outputs, i, placement, settings) for i, placement in enumerate(placements)]
        durations = {
            "preprocess": preprocessed - started,
            "forward": inferred - preprocessed,
            "postprocess": time.perf_counter() - inferred,
        }
        return DetectionResult(detections, durations)

    def infer(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """The raw outputs of one forward pass. Raises InferenceError."""
        return self._backend.infer(tensors)

    def _postprocess(
        self, outputs: dict[str, NDArray[np.generic]], item: int, placement: Placement, settings: DetectionSettings
    ) -> Detections:
        defaults = self.card.thresholds
        confidence = defaults.confidence if settings.confidence is None else settings.confidence
        candidates = self._decoder.decode(outputs, item, confidence)
        kept = suppress(
            candidates,
            defaults.iou if settings.iou is None else settings.iou,
            defaults.max_detections if settings.max_detections is None else settings.max_detections,
            class_mask(self.card.labels, settings.class_filter),
        )
        xyxy = placement.to_source(kept.xyxy)
        # What lies in a letterbox's border alone has no area in the source image.
        inside = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
        return Detections(xyxy[inside], kept.scores[inside], kept.class_indices[inside], self.card.labels)
