"""Where images come from when there is no camera driver: photos, videos, webcams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.errors import RobotAIError

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}

NamedImage = tuple[str, NDArray[np.uint8]]


class SourceError(RobotAIError):
    """A source of images that does not exist, cannot be read or holds none."""


class PhotoSource:
    """The photos of a folder in the order of their names, or one photo."""

    def __init__(self, path: Path) -> None:
        try:
            entries = [path] if path.is_file() else path.iterdir()
            files = sorted(entry for entry in entries if entry == path or entry.suffix.lower() in PHOTO_SUFFIXES)
        except OSError as error:
            raise SourceError(f"{path} cannot be listed: {error.strerror}") from error
        if not files:
            raise SourceError(f"{path} holds no photo; expected files ending {', '.join(sorted(PHOTO_SUFFIXES))}")
        self.files = files

    def __iter__(self) -> Iterator[NamedImage]:
        for file in self.files:
            try:
                data = np.fromfile(file, np.uint8)
            except OSError as error:
                raise SourceError(f"{file} cannot be read: {error.strerror}") from error
            # OpenCV throws on no bytes at all, and returns None on bytes that are no photo.
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
            if image is None:
                raise SourceError(f"{file} is not a photo that OpenCV can read")
            yield file.name, image

    def close(self) -> None:
        """Nothing is held."""


class VideoSource:
    """The frames of a video file or of a webcam."""

    def __init__(self, target: str | int) -> None:
        self._target = target
        self._capture = cv2.VideoCapture(target)
        if not self._capture.isOpened():
            raise SourceError(f"cannot open {self.name}: expected a video that OpenCV can read, or a camera in reach")

    @property
    def name(self) -> str:
        """What is played, for people."""
        return f"camera {self._target}" if isinstance(self._target, int) else self._target

    def __iter__(self) -> Iterator[NamedImage]:
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        index = 0
        while True:
            good, image = self._capture.read()
            if not good:
                if not index:
                    raise SourceError(f"{self.name} gives no frame")
                return
            yield f"{self.name} frame {index}", image
            index += 1

    def close(self) -> None:
        """Releases the file or the device."""
        self._capture.release()


def open_source(source: str) -> PhotoSource | VideoSource:
    """Opens a folder, a photo, a video file, a camera's number or its device file. Raises SourceError."""
    if not source:
        raise SourceError("the parameter source is empty; give a folder of photos, a photo, a video file or a camera")
    if source.isdecimal():
        return VideoSource(int(source))
    path = Path(source).expanduser()
    if not path.exists():
        raise SourceError(f"{source} does not exist; expected a folder of photos, a photo, a video file or a camera")
    if path.is_dir() or path.suffix.lower() in PHOTO_SUFFIXES:
        return PhotoSource(path)
    return VideoSource(str(path))
