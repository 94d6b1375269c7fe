"""What the artifacts of a card are compared on: photos for models of images, clouds for those of lidars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.loading import BackendChoice, LoadedModel
from robot_ai.lidar.filters import Points
from robot_ai.lidar.pillar_detector import PillarDetector
from robot_ai.model_tool.clouds import encoded, load_clouds
from robot_ai.model_tool.export.errors import CloudsError
from robot_ai.model_tool.matching import Agreement, match, overlaps_from_above, overlaps_in_image
from robot_ai.model_tool.photos import load_photos
from robot_ai.models.artifacts import backend_of
from robot_ai.models.card import LIDAR_TASK, ModelCard
from robot_ai.models.specs import Thresholds
from robot_ai.perception.detections import Detections
from robot_ai.perception.preprocess import ImagePreprocessor
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector
from robot_ai.training.coco import AveragePrecision, CocoDataSet

Arrays = dict[str, NDArray[Any]]
SCORE_FLOOR = 0.05  # for average precision, as `robot_ai evaluate` has it


@dataclass(frozen=True)
class Outcome:
    """What one artifact gave: its outputs and what was found, for each sample, and its precision where it was asked
    for.
    """

    outputs: list[Arrays]
    found: list[Any]
    precision: AveragePrecision | None = None


class Trial(Protocol):
    """A way to try the artifacts of one kind of model."""

    @property
    def samples(self) -> str:
        """What is compared on, such as `10 photos`."""

    def load(self, choice: BackendChoice) -> LoadedModel:
        """The model, verified. Raises what LoadedModel.load raises."""

    def run(self, model: Any) -> Outcome:
        """Tries a model that `load` gave. Raises BackendError, DecoderError or CenterHeadsError."""

    def agree(self, expected: Outcome, given: Outcome, thresholds: Thresholds, near_threshold: float) -> Agreement:
        """How what two artifacts found agrees, as `matching.match` says."""


class PhotoTrial:
    """Photos, and a labeled data set for average precision where there is one."""

    def __init__(self, photos: Sequence[tuple[str, NDArray[np.uint8]]], coco: Path | None = None) -> None:
        self._photos = [image for _, image in photos]
        self._data = CocoDataSet(coco) if coco is not None else None

    @property
    def samples(self) -> str:
        """See Trial."""
        return f"{len(self._photos)} photos"

    def load(self, choice: BackendChoice) -> ImageDetector:
        """See Trial."""
        return ImageDetector.load(choice)

    def run(self, model: ImageDetector) -> Outcome:
        """See Trial."""
        image = model.card.image_for(backend_of(model.backend_name))
        preprocess = ImagePreprocessor(image)
        outputs: list[Arrays] = []
        found: list[Detections] = []
        for photo in self._photos:
            batch, _ = preprocess([photo])
            outputs.append({name: np.array(array) for name, array in model.infer({image.name: batch}).items()})
            found += model.detect([photo], DetectionSettings()).detections
        if self._data is None:
            return Outcome(outputs, found)
        settings = DetectionSettings(confidence=SCORE_FLOOR)
        return Outcome(outputs, found, self._data.evaluate(lambda photo: model.detect([photo], settings).detections[0]))

    def agree(self, expected: Outcome, given: Outcome, thresholds: Thresholds, near_threshold: float) -> Agreement:
        """See Trial; boxes overlap in the image."""
        return match(expected.found, given.found, thresholds, near_threshold, overlaps_in_image)


class CloudTrial:
    """Clouds. What is compared is what the network says; obstacles are none of its business."""

    def __init__(self, clouds: Sequence[tuple[str, Points]]) -> None:
        self._clouds = [points for _, points in clouds]

    @property
    def samples(self) -> str:
        """See Trial."""
        return f"{len(self._clouds)} clouds"

    def load(self, choice: BackendChoice) -> PillarDetector:
        """See Trial."""
        return PillarDetector.load(choice)

    def run(self, model: PillarDetector) -> Outcome:
        """See Trial."""
        outputs, found = [], []
        for points in self._clouds:
            pillars = encoded(points, model.grid)
            outputs.append({name: np.array(array) for name, array in model.infer(pillars).items()})
            found.append(model.decode(outputs[-1], pillars))
        return Outcome(outputs, found)

    def agree(self, expected: Outcome, given: Outcome, thresholds: Thresholds, near_threshold: float) -> Agreement:
        """See Trial; boxes overlap as seen from above."""
        return match(expected.found, given.found, thresholds, near_threshold, overlaps_from_above)


def trial_of(card: ModelCard, folder: Path | None, coco: Path | None) -> Trial:
    """The trial for a card's kind of model, on the samples of a folder; None for photos inside wheels, or simulated
    clouds.

    Raises CloudsError for a data set of photos and a lidar's model, and what loading the samples raises.
    """
    if card.task != LIDAR_TASK:
        return PhotoTrial(load_photos(folder), coco)
    if coco is not None:
        raise CloudsError(f"{card.name} is for lidar clouds; expected no --coco, which is a set of photos")
    return CloudTrial(load_clouds(folder))
