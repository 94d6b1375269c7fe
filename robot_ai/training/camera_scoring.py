"""How well a camera model finds what is in labeled views of a world."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.evaluation.precision import match
from robot_ai.evaluation.scorer_2d import Scorer2D, Settings2D, Truth2D
from robot_ai.perception.boxes import intersection_over_union
from robot_ai.perception.detections import Detections
from robot_ai.training.coco import ANNOTATIONS

_IOU = 0.5
# One image does not follow another: far apart in time, tracks end.
_APART = 10_000_000_000


@dataclass(frozen=True)
class WorldScore:
    """ap, ap50: means over the classes that the views show. classes: AP by class. things: by model, how many of its
    well visible views were found, and of how many."""

    ap: float
    ap50: float
    classes: dict[str, float]
    things: dict[str, tuple[int, int]]


def score(
    folder: Path, detect: Callable[[NDArray[np.uint8]], Detections], labels: tuple[str, ...], confidence: float
) -> WorldScore:
    """Judges a detector, asked for all scores, on views that `make_views` wrote, by the rules of `robot_ai evaluate`.

    confidence: from which score on a thing counts as found.
    """
    content = json.loads((folder / ANNOTATIONS).read_bytes())
    by_image: defaultdict[int, list[Any]] = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    scorer = Scorer2D(Settings2D(score=confidence))
    things: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for entry in content["images"]:
        found = detect(np.asarray(cv2.imread(str(folder / "images" / entry["file_name"])), np.uint8))
        truth = _truth(by_image[entry["id"]], labels)
        scorer.add(found, truth, entry["id"] * _APART)
        _count(found, truth, confidence, scorer.settings.visible, things)
    shown = {name: tally for name, tally in scorer.classes.items() if tally.truths}
    classes = {name: tally.ap for name, tally in sorted(shown.items())}
    counts = {name: (found, of) for name, (found, of) in sorted(things.items())}
    return WorldScore(_mean(classes.values()), _mean([tally.ap50 for tally in shown.values()]), classes, counts)


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _truth(annotations: list[Any], labels: tuple[str, ...]) -> Truth2D:
    boxes = np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    shares = np.array([a["visible"] for a in annotations], np.float32)
    numbers = np.array([a["category_id"] - 1 for a in annotations], np.int64)
    distances = np.array([a["distance"] for a in annotations], float)
    return Truth2D(Detections(boxes, shares, numbers, labels), [a["thing"] for a in annotations], distances)


def _count(found: Detections, truth: Truth2D, least: float, visible: float, things: dict[str, list[int]]) -> None:
    said = found.scores >= least
    ious = intersection_over_union(found.xyxy[said], truth.boxes.xyxy)
    ious[found.class_indices[said][:, None] != truth.boxes.class_indices[None]] = 0
    must = truth.boxes.scores >= visible
    partners = match(ious, found.scores[said].astype(float), _IOU, must)
    for index in np.flatnonzero(must).tolist():
        things[truth.names[index]][0] += index in partners
        things[truth.names[index]][1] += 1
