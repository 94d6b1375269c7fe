"""2D detections of one image as a validated set of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.errors import DetectionsError


@dataclass(frozen=True)
class Detections:
    """What was found in one image.

    xyxy: (N, 4) float32, left, top, right, bottom in source-image pixels. Pixel edges: a box over the whole of a
        640x480 image is (0, 0, 640, 480).
    scores: (N,) float32 in 0-1.
    class_indices: (N,) int64, into `labels`.
    labels: the model's label list.

    Raises DetectionsError when the arrays disagree in length, are not finite or leave their range.
    """

    xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_indices: NDArray[np.int64]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        count = self.scores.size
        if self.xyxy.shape != (count, 4) or self.scores.shape != (count,) or self.class_indices.shape != (count,):
            raise DetectionsError(
                f"detections disagree in shape: boxes {self.xyxy.shape}, scores {self.scores.shape}, classes "
                f"{self.class_indices.shape}; expected (N, 4), (N,), (N,) with one N"
            )
        if not count:
            return
        if not (np.isfinite(self.xyxy).all() and np.isfinite(self.scores).all()):
            raise DetectionsError("detections hold NaN or infinity; expected finite boxes and scores")
        if (self.xyxy[:, 2:] < self.xyxy[:, :2]).any():
            raise DetectionsError("a detection's right or bottom edge lies before its left or top edge")
        if self.scores.min() < 0 or self.scores.max() > 1:
            raise DetectionsError(f"a score lies outside 0-1: {self.scores.min():g} to {self.scores.max():g}")
        if self.class_indices.min() < 0 or self.class_indices.max() >= len(self.labels):
            raise DetectionsError(
                f"a class index lies outside the {len(self.labels)} labels: "
                f"{self.class_indices.min()} to {self.class_indices.max()}"
            )

    @classmethod
    def empty(cls, labels: tuple[str, ...]) -> Detections:
        """Nothing found."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), labels)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> list[str]:
        """The label of each detection."""
        return [self.labels[index] for index in self.class_indices.tolist()]
