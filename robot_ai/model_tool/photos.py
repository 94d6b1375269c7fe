"""Real photos for golden samples, calibration and verification: a folder of the user's, or those inside PyPI wheels."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.errors import pip_install
from robot_ai.model_tool.export.errors import PhotosError
from robot_ai.perception.sources import PhotoSource

# Color photos of everyday scenes inside wheels that pip installs anyway (extra demo), by package and path.
SAMPLE_PHOTOS = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/motorcycle_right.png"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/coins.png"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)


def sample_photos() -> list[Path]:
    """The photos that are installed, most telling first. Raises PhotosError when there are none."""
    found = []
    for package, relative in SAMPLE_PHOTOS:
        spec = find_spec(package)
        if spec is not None and spec.origin and (file := Path(spec.origin).parent / relative).is_file():
            found.append(file)
    if not found:
        raise PhotosError(
            f"no photo is installed; install some with {pip_install('demo')}, or name a folder of your own"
        )
    return found


def load_photos(folder: Path | None) -> list[tuple[str, NDArray[np.uint8]]]:
    """Names and BGR images (H, W, 3) of a folder's photos, or of the samples. Raises PhotosError or SourceError."""
    if folder is not None:
        return list(PhotoSource(folder))
    return [photo for file in sample_photos() for photo in PhotoSource(file)]


def calibration_images(photos: list[tuple[str, NDArray[np.uint8]]], count: int) -> Iterator[NDArray[np.uint8]]:
    """At least one and at most `count` views of the photos: whole, then halves and quarters, mirrored, dark and bright.

    Calibration needs the range of every activation; a few photos at several scales and exposures span it better than
    the same few as they are.
    """
    made = 0
    for view in range(_VIEWS):
        for _, image in photos:
            if made == count:
                return
            made += 1
            yield _view(image, view)


_CROPS = (
    (0.0, 0.0, 1.0, 1.0),
    (0.0, 0.0, 0.6, 0.6),
    (0.4, 0.4, 1.0, 1.0),
    (0.4, 0.0, 1.0, 0.6),
    (0.0, 0.4, 0.6, 1.0),
    (0.25, 0.25, 0.75, 0.75),
)
_GAINS = (1.0, 0.5, 1.6)
_VIEWS = len(_CROPS) * len(_GAINS)


def _view(image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    left, top, right, bottom = _CROPS[index % len(_CROPS)]
    height, width = image.shape[:2]
    crop = image[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    if index % 2:
        crop = crop[:, ::-1]
    adjusted: NDArray[np.uint8] = cv2.convertScaleAbs(crop, alpha=_GAINS[index // len(_CROPS)])
    return np.ascontiguousarray(adjusted)
