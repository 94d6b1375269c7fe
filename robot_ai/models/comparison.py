"""Whether two runs of a model gave the same: their output tensors side by side, each quantity by its own measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from robot_ai.models.card import ModelCard

Outputs = Mapping[str, NDArray[Any]]
# Decoders of models that list the boxes they have chosen, best first.
LISTS = ("yolo26", "ssd", "torchvision")
# Decoders of one table of boxes and their scores, and whether its columns come first where its shape does not tell.
_TABLES = {"yolov8": True, "yolo11": True, "yolov5": False, "yolox": False}
# Of so many listed boxes one may be without a partner: overlaps and scores that lie at the edge of the model's own
# thresholds fall either way, and with a box goes what it had suppressed.
_PER_STRAY = 20
# Above any difference of coordinates: a pair of two classes is the last to be made.
_ANOTHER_CLASS = 1e6
_NO_CLASS = -1.0


@dataclass(frozen=True)
class Difference:
    """How far an array is from the expected one: the largest and the mean difference, and the expected magnitude."""

    largest: float
    mean: float
    magnitude: float

    @property
    def relative(self) -> float:
        """The largest difference as a part of the expected array's largest magnitude, which counts as 1 at least."""
        return self.largest / max(1.0, self.magnitude)


def compare(expected: NDArray[Any], given: NDArray[Any]) -> Difference:
    """The difference between two arrays of one shape; infinite where a value is NaN or infinity."""
    magnitude = float(np.abs(expected).max(initial=0))
    if not np.isfinite(given).all():
        return Difference(float("inf"), float("inf"), magnitude)
    apart = np.abs(given.astype(np.float64) - expected.astype(np.float64))
    return Difference(float(apart.max(initial=0)), float(apart.mean()) if apart.size else 0.0, magnitude)


def differences(card: ModelCard, expected: Outputs, given: Outputs, tolerance: float) -> dict[str, Difference]:
    """The differences between a model's outputs for one image, by what is compared: an output, or a part of one.

    A table of boxes and scores is compared as two, since pixels would hide what befell the scores. Lists of boxes are
    compared pair by pair, whatever their order, and without what a full list has at its end: there boxes whose scores
    are within `tolerance` take turns.
    """
    if card.decoder.type in _TABLES:
        expected, given = _table_parts(card, expected), _table_parts(card, given)
    elif card.decoder.type in LISTS and all(np.isfinite(array).all() for array in given.values()):
        return _list_differences(_List.of(card, expected), _List.of(card, given), tolerance)
    return {name: compare(array, given[name]) for name, array in expected.items()}


def lists_something(card: ModelCard, outputs: Outputs) -> bool:
    """Whether the outputs tell one model from another: false for a list of boxes that is empty."""
    return card.decoder.type not in LISTS or len(_List.of(card, outputs).scores) > 0


def _table_parts(card: ModelCard, outputs: Outputs) -> Outputs:
    columns_first = _TABLES[card.decoder.type]
    columns = len(card.labels) + (4 if columns_first else 5)
    ((name, table),) = outputs.items()
    preferred = 1 if columns_first else 2
    axis = preferred if table.shape[preferred] == columns else 3 - preferred
    boxes, scores = np.split(table, [4], axis=axis)
    return {f"{name}, boxes": boxes, f"{name}, scores": scores}


@dataclass(frozen=True)
class _List:
    """The boxes (N, 4), scores (N,) and classes (N,) that a model lists for an image; is_full: no place is left."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.float64]
    is_full: bool

    @classmethod
    def of(cls, card: ModelCard, outputs: Outputs) -> _List:
        arrays = {name: array[0].astype(np.float64) for name, array in outputs.items()}
        if card.decoder.type == "yolo26":
            table = arrays["detections"]
            boxes, scores, classes = table[:, :4], table[:, 4], table[:, 5]
        else:
            classes = arrays["classes" if card.decoder.type == "ssd" else "labels"]
            boxes, scores = arrays["boxes"], arrays["scores"]
        places = len(scores)
        if "count" in arrays:
            places = max(0, round(float(arrays["count"].reshape(-1)[0])))
        taken = np.flatnonzero(scores[:places] > 0)
        return cls(boxes[taken], scores[taken], classes[taken], len(taken) == len(scores))

    def filled(self, length: int) -> _List:
        """The list with empty places up to a length; they are of no class."""
        more = length - len(self.scores)
        return _List(
            np.pad(self.boxes, ((0, more), (0, 0))),
            np.pad(self.scores, (0, more)),
            np.pad(self.classes, (0, more), constant_values=_NO_CLASS),
            self.is_full,
        )

    def take(self, index: NDArray[Any]) -> _List:
        return _List(self.boxes[index], self.scores[index], self.classes[index], self.is_full)


def _list_differences(expected: _List, given: _List, tolerance: float) -> dict[str, Difference]:
    from scipy.optimize import linear_sum_assignment  # slow to import, and few models need it

    longest = max(len(expected.scores), len(given.scores))
    one, other = expected.filled(longest), given.filled(longest)
    apart = _apart(one, other)
    rows, columns = linear_sum_assignment(apart)
    strays = (apart[rows, columns] > tolerance) & _at_the_end(one, other.take(columns), tolerance)
    kept = rows[~strays]
    worst_first = np.argsort(-apart[rows, columns][kept], kind="stable")
    kept = kept[worst_first[longest // _PER_STRAY :]]
    one, other = one.take(kept), other.take(columns[kept])
    mixed = np.abs(one.classes - other.classes)
    return {
        "boxes": compare(one.boxes, other.boxes),
        "scores": compare(one.scores, other.scores),
        # By number: classes are names, and 7 is not nearly 8.
        "classes": Difference(float(mixed.max(initial=0)), float(mixed.mean()) if len(mixed) else 0.0, 0.0),
    }


def _apart(one: _List, other: _List) -> NDArray[np.float64]:
    """How far each box of one list is from each of the other (N, N), in the measure of `Difference.relative`."""
    reach = max(1.0, float(np.abs(one.boxes).max(initial=0)))
    boxes = np.abs(one.boxes[:, np.newaxis] - other.boxes[np.newaxis]).max(axis=2, initial=0) / reach
    scores = np.abs(one.scores[:, np.newaxis] - other.scores[np.newaxis])
    mixed = one.classes[:, np.newaxis] != other.classes[np.newaxis]
    return np.where(mixed, _ANOTHER_CLASS, np.minimum(np.maximum(boxes, scores), _ANOTHER_CLASS))


def _at_the_end(one: _List, other: _List, tolerance: float) -> NDArray[np.bool_]:
    """Which pairs may be two boxes: both scores are within the tolerance of the last of a full list."""
    ends = [part.scores.min(initial=1) + tolerance if part.is_full else -1.0 for part in (one, other)]
    pairs: NDArray[np.bool_] = (one.scores <= max(ends)) & (other.scores <= max(ends))
    return pairs
