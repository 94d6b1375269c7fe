"""Representative inputs for a network of either kind: made from photos, or from clouds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from robot_ai.lidar.pillars import PillarGrid
from robot_ai.model_tool.clouds import cloud_views, load_clouds
from robot_ai.model_tool.photos import calibration_images, load_photos
from robot_ai.models.specs import ImageInput, ModelInput, PillarInput
from robot_ai.perception.preprocess import ImagePreprocessor

Batches = Callable[[], Iterator[NDArray[Any]]]


@dataclass(frozen=True)
class Representative:
    """`count` batches of one, in the input's layout; title: what they are, such as `100 views of 10 photos`."""

    title: str
    count: int
    batches: Batches


def representative(given: ModelInput, folder: Path | None, count: int) -> Representative:
    """`count` views of the photos or clouds of a folder; None for the photos inside wheels, or simulated clouds.

    Raises PhotosError, SourceError, CloudsError or CloudFileError.
    """
    return _of_clouds(given, folder, count) if isinstance(given, PillarInput) else _of_photos(given, folder, count)


def _of_photos(given: ImageInput, folder: Path | None, count: int) -> Representative:
    photos = load_photos(folder)
    views = list(calibration_images(photos, count))

    def batches() -> Iterator[NDArray[Any]]:
        preprocess = ImagePreprocessor(given)
        for view in views:
            batch, _ = preprocess([view])
            yield batch.copy()

    return Representative(f"{len(views)} views of {len(photos)} photos", len(views), batches)


def _of_clouds(given: PillarInput, folder: Path | None, count: int) -> Representative:
    clouds, grid = load_clouds(folder), PillarGrid(given.side, given.cell)

    def batches() -> Iterator[NDArray[Any]]:
        for pillars in cloud_views(clouds, count, grid):
            yield pillars.batch(given.layout)

    return Representative(f"{count} views of {len(clouds)} clouds", count, batches)
