"""Average precision on a COCO data set, by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.errors import RobotAIError
from robot_ai.perception.detections import Detections

ANNOTATIONS = "instances.json"
# What pycocotools reads of each entry, without a check of its own.
REQUIRED = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
}


class DataSetError(RobotAIError):
    """A data set that is missing, or holds what cannot be read."""


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's AP (mean over IoU 0.50 to 0.95) and AP at IoU 0.50, over all classes and sizes."""

    ap: float
    ap50: float
    images: int


class CocoDataSet:
    """A folder with `images/` and `instances.json` in COCO's format."""

    def __init__(self, directory: Path) -> None:
        try:
            from pycocotools.coco import COCO
        except ImportError as error:
            raise DataSetError("evaluation needs pycocotools; install it with: pip install pycocotools") from error
        file = directory / ANNOTATIONS
        if not file.is_file():
            raise DataSetError(f"{directory} holds no {ANNOTATIONS}; expected COCO annotations beside a folder images/")
        _check_annotations(file)
        self._directory = directory
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            self._coco = COCO(str(file))
        self._categories: dict[str, int] = {c["name"]: c["id"] for c in self._coco.loadCats(self._coco.getCatIds())}

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Image ids and BGR images (H, W, 3) uint8."""
        for entry in self._coco.loadImgs(sorted(self._coco.getImgIds())):
            file = self._directory / "images" / entry["file_name"]
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None:
                raise DataSetError(f"{file} cannot be read; expected the photo that {ANNOTATIONS} names")
            yield entry["id"], cast("NDArray[np.uint8]", image)

    def evaluate(self, detect: Callable[[NDArray[np.uint8]], Detections]) -> AveragePrecision:
        """Runs a detector over all images. Labels the data set does not know are left out of the count."""
        from pycocotools.cocoeval import COCOeval

        results: list[dict[str, Any]] = []
        images = []
        for image_id, image in self:
            images.append(image_id)
            results += self._results(image_id, detect(image))
        if not results:
            return AveragePrecision(0.0, 0.0, len(images))
        with contextlib.redirect_stdout(io.StringIO()):
            scoring = COCOeval(self._coco, self._coco.loadRes(results), "bbox")
            scoring.params.imgIds = images
            scoring.evaluate()
            scoring.accumulate()
            scoring.summarize()
        return AveragePrecision(float(scoring.stats[0]), float(scoring.stats[1]), len(images))

    def _results(self, image_id: int, detections: Detections) -> list[dict[str, Any]]:
        rows = zip(detections.names, detections.scores.tolist(), detections.xyxy.tolist(), strict=True)
        return [
            {
                "image_id": image_id,
                "category_id": self._categories[name],
                "bbox": [left, top, right - left, bottom - top],
                "score": score,
            }
            for name, score, (left, top, right, bottom) in rows
            if name in self._categories
        ]


def _check_annotations(file: Path) -> None:
    """Raises DataSetError unless the file holds COCO annotations with at least one box."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataSetError(f"{file} cannot be read ({error}); expected COCO annotations") from error
    for part, keys in REQUIRED.items():
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not entries:
            raise DataSetError(f"{file} has no list '{part}', or an empty one; expected COCO annotations")
        for index, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise DataSetError(
                    f"{file}: '{part}[{index}]' lacks {', '.join(map(repr, missing))}; expected COCO annotations"
                )
