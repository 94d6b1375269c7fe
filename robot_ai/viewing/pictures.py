"""One picture of a moment: the camera with its boxes beside the robot's surroundings from above; films of such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import Detections3D
from robot_ai.lidar.drawing import draw_top_view
from robot_ai.perception.detections import Detections
from robot_ai.perception.drawing import draw
from robot_ai.viewing.errors import VideoError

Image = NDArray[np.uint8]

_REACH = 6.0
_BAR = 28
_INK = (235, 235, 235)
_PATH = (80, 200, 255)
_ROBOT = (60, 140, 255)
_ALARM = (30, 30, 190)


@dataclass(frozen=True)
class Moment:
    """What was known at one moment.

    image: BGR (H, W, 3) uint8. found: boxes in it. points: (N, 3) in the robot's frame. placed: boxes in that frame.
    path: (M, 2) where the robot was, in its frame of now, meters. caption: one line; alarm: whether it is one of alarm.
    """

    image: Image
    found: Detections
    points: NDArray[np.floating]
    placed: Detections3D
    path: NDArray[np.floating]
    caption: str = ""
    alarm: bool = False


def compose(moment: Moment) -> Image:
    """The camera's image and, as high as that, 6 m around the robot; ahead is up. The caption lies below both."""
    left = draw(moment.image, moment.found)
    side = left.shape[0]
    right = draw_top_view(moment.points, moment.placed, _REACH, side, dot=2)
    scale = side / (2 * _REACH)
    pixels = np.column_stack([side / 2 - moment.path[:, 1] * scale, side / 2 - moment.path[:, 0] * scale])
    cv2.polylines(right, [np.round(pixels).astype(np.int32)], False, _PATH, 2, cv2.LINE_AA)
    middle = side // 2
    nose = np.array([[middle, middle - 12], [middle - 8, middle + 8], [middle + 8, middle + 8]], np.int32)
    cv2.fillPoly(right, [nose], _ROBOT, cv2.LINE_AA)
    bar = np.full((_BAR, left.shape[1] + side, 3), _ALARM if moment.alarm else (0, 0, 0), np.uint8)
    cv2.putText(bar, moment.caption, (8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    picture: Image = np.vstack([np.hstack([left, right]), bar])
    return picture


def contact_sheet(images: Sequence[Image], columns: int = 3, height: int = 300) -> Image:
    """Arranges BGR images (H, W, 3) uint8 of any sizes in rows, each row `height` pixels high."""
    scaled = [
        cv2.resize(i, (round(i.shape[1] * height / i.shape[0]), height), interpolation=cv2.INTER_AREA) for i in images
    ]
    rows = [np.hstack(scaled[start : start + columns]) for start in range(0, len(scaled), columns)]
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


class Film:
    """Writes pictures of one size as an MP4 (MPEG-4 Visual), opened with the first of them."""

    def __init__(self, file: Path, rate: float) -> None:
        self._file = file
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self.frames = 0

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()

    def add(self, picture: Image) -> None:
        """The next picture. Raises VideoError when OpenCV cannot write here."""
        if self._writer is None:
            height, width = picture.shape[:2]
            self._writer = cv2.VideoWriter(
                str(self._file), cv2.VideoWriter.fourcc(*"mp4v"), self._rate, (width, height)
            )
            if not self._writer.isOpened():
                raise VideoError(f"{self._file} cannot be written as a video; is the folder there and writable?")
        self._writer.write(picture)
        self.frames += 1
