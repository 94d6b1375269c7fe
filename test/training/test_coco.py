"""Average precision on small data sets made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from robot_ai.perception.detections import Detections

pytest.importorskip("pycocotools")

from robot_ai.training.coco import CocoDataSet, DataSetError

LABELS = ("cat", "unicorn", "dog")
CATEGORIES = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
# Per image, which its grey tells: (left, top, width, height) and the category.
TRUTH: dict[int, list[tuple[tuple[int, int, int, int], int]]] = {
    10: [((5, 5, 40, 30), 17)],
    20: [((10, 20, 50, 40), 18), ((60, 5, 30, 30), 17)],
    30: [],
}


def write_data_set(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    (folder / "images").mkdir()
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": CATEGORIES}
    for image_id, boxes in TRUTH.items():
        name = f"{image_id}.png"
        cv2.imwrite(str(folder / "images" / name), np.full((80, 100, 3), image_id, np.uint8))
        content["images"].append({"id": image_id, "file_name": name, "width": 100, "height": 80})
        for box, category in boxes:
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": list(box),
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    change(content)
    (folder / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def truth(image: NDArray[np.uint8], shift: float = 0) -> Detections:
    """A detector that knows the answer."""
    boxes = TRUTH[int(image[0, 0, 0])]
    xyxy = [(x + shift, y, x + w + shift, y + h) for (x, y, w, h), _ in boxes]
    return Detections(
        np.array(xyxy, np.float32).reshape(-1, 4),
        np.full(len(boxes), 0.9, np.float32),
        np.array([0 if category == 17 else 2 for _, category in boxes], np.int64),
        LABELS,
    )


def test_a_perfect_detector_scores_one(tmp_path: Path) -> None:
    precision = CocoDataSet(write_data_set(tmp_path)).evaluate(truth)
    assert precision.ap == pytest.approx(1)
    assert precision.ap50 == pytest.approx(1)
    assert precision.images == 3


def test_a_shifted_detector_scores_less(tmp_path: Path) -> None:
    precision = CocoDataSet(write_data_set(tmp_path)).evaluate(lambda image: truth(image, shift=6))
    assert 0 < precision.ap < 0.9
    assert precision.ap50 == pytest.approx(1)


def test_a_blind_detector_scores_nought(tmp_path: Path) -> None:
    precision = CocoDataSet(write_data_set(tmp_path)).evaluate(lambda _: Detections.empty(LABELS))
    assert (precision.ap, precision.ap50, precision.images) == (0, 0, 3)


def test_labels_the_data_set_does_not_know_do_not_count(tmp_path: Path) -> None:
    def detect(image: NDArray[np.uint8]) -> Detections:
        known = truth(image)
        return Detections(
            np.concatenate([known.xyxy, np.array([[0, 0, 9, 9]], np.float32)]),
            np.append(known.scores, np.float32(1)),
            np.append(known.class_indices, 1),
            LABELS,
        )

    assert CocoDataSet(write_data_set(tmp_path)).evaluate(detect).ap == pytest.approx(1)


def test_images_come_by_id_in_bgr(tmp_path: Path) -> None:
    assert [
        (image_id, image.shape, int(image[0, 0, 0])) for image_id, image in CocoDataSet(write_data_set(tmp_path))
    ] == [(image_id, (80, 100, 3), image_id) for image_id in TRUTH]


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    CocoDataSet(write_data_set(tmp_path)).evaluate(truth)
    assert capfd.readouterr().out == ""


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    (tmp_path / "images" / "20.png").unlink()
    with pytest.raises(DataSetError, match=r"20\.png cannot be read; expected the photo that instances\.json names"):
        CocoDataSet(tmp_path).evaluate(truth)


def test_missing_annotations_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"holds no instances\.json; expected COCO annotations"):
        CocoDataSet(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "3", '{"images": [], "annotations": [{}], "categories": []}', "\xff"]
)
def test_annotations_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "instances.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataSetError, match=r"instances\.json .*expected COCO annotations"):
        CocoDataSet(tmp_path)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_annotations_without_a_part_are_refused(tmp_path: Path, key: str) -> None:
    write_data_set(tmp_path, lambda content: content.pop(key))
    with pytest.raises(DataSetError, match=f"'{key}'"):
        CocoDataSet(tmp_path)


def test_annotations_without_boxes_are_refused(tmp_path: Path) -> None:
    """COCO's tools would call the precision -1."""
    write_data_set(tmp_path, lambda content: content["annotations"].clear())
    with pytest.raises(DataSetError, match="'annotations'"):
        CocoDataSet(tmp_path)


@pytest.mark.parametrize("key", ["area", "bbox", "iscrowd", "category_id", "image_id"])
def test_a_box_that_lacks_a_key_is_refused(tmp_path: Path, key: str) -> None:
    write_data_set(tmp_path, lambda content: content["annotations"][1].pop(key))
    with pytest.raises(DataSetError, match=rf"'{key}'"):
        CocoDataSet(tmp_path)
