"""Scores: hand-made cases, and average precision against pycocotools."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_ai.evaluation.precision import Tally
from robot_ai.evaluation.report import as_plain, as_text, table_2d, table_3d
from robot_ai.evaluation.scorer_2d import Scorer2D, Truth2D
from robot_ai.evaluation.scorer_3d import Scorer3D
from robot_ai.lidar.detections import Detections3D
from robot_ai.perception.detections import Detections

LABELS = ("person", "dog")


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Rows of left, top, right, bottom, score, class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64), LABELS)


def truth(*rows: tuple[float, float, float, float, float, int], distance: float = 3.0) -> Truth2D:
    shown = boxes(*rows)
    return Truth2D(shown, [f"thing_{i}" for i in range(len(rows))], np.full(len(rows), distance))


def test_right_wrong_missed_and_hardly_visible() -> None:
    scorer = Scorer2D()
    there = truth((0, 0, 10, 10, 1, 0), (20, 0, 30, 10, 1, 0), (40, 0, 50, 10, 0.1, 0))
    scorer.add(boxes((0, 0, 10, 9, 0.9, 0), (60, 0, 70, 10, 0.8, 0), (40, 0, 50, 10, 0.7, 0)), there, 1)
    tally = scorer.classes["person"]
    # The third is hardly visible: neither missed nor wrong.
    assert (tally.truths, tally.found, tally.wrong) == (2, 1, 1)
    assert (tally.precision, tally.recall) == (0.5, 0.5)
    assert scorer.clear_recall("person") == 0.5


def test_another_class_is_wrong_and_a_second_box_too() -> None:
    scorer = Scorer2D()
    there = truth((0, 0, 10, 10, 1, 0))
    scorer.add(boxes((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 10, 0.8, 0), (1, 0, 10, 10, 0.7, 0)), there, 1)
    assert (scorer.classes["dog"].wrong, scorer.classes["person"].found, scorer.classes["person"].wrong) == (1, 1, 1)


def test_what_is_far_is_not_among_the_easy_ones() -> None:
    scorer = Scorer2D()
    scorer.add(boxes(), truth((0, 0, 10, 10, 1, 0), distance=9.0), 1)
    assert math.isnan(scorer.clear_recall("person"))
    assert scorer.classes["person"].recall == 0


def test_a_thing_that_changes_its_track_is_a_switch() -> None:
    scorer = Scorer2D()
    for step in range(40):
        # It vanishes for a second and comes back elsewhere, which no tracker can follow.
        if not 15 <= step < 27:
            left = 0.0 if step < 20 else 300.0
            box = (left, 0.0, left + 40, 80.0, 0.9, 0)
            scorer.add(boxes(box), truth(box), step * 100_000_000)
        else:
            scorer.add(boxes(), truth(), step * 100_000_000)
    assert scorer.identities.switches == 1


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is of the extra test")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(seed)
    scorer, annotations, results = Scorer2D(), [], []
    for image in range(1, 6):
        corners = rng.uniform(0, 80, (4, 2))
        real = np.column_stack([corners, corners + rng.uniform(5, 40, (4, 2))])
        said = real + rng.normal(0, 3, real.shape)
        said = np.column_stack([np.minimum(said[:, :2], said[:, 2:] - 1), said[:, 2:]])
        said = np.concatenate([said, rng.uniform(0, 50, (2, 4)) + np.array([0, 0, 50, 50])])
        scores, kinds = rng.permutation(60)[:6] / 60, rng.integers(0, 2, 6)
        shown, found = np.float32(real), np.float32(said)
        scorer.add(
            boxes(*np.column_stack([found, scores, kinds])),
            truth(*np.column_stack([shown, np.ones(4), np.zeros(4)])), image,
        )  # fmt: skip
        for box in shown.astype(float):
            wide, high = box[2] - box[0], box[3] - box[1]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": 1, "bbox": [box[0], box[1], wide, high],
                 "area": wide * high, "iscrowd": 0}
            )  # fmt: skip
        for box, score, kind in zip(found.astype(float), np.float32(scores).astype(float), kinds, strict=True):
            if kind == 0:
                sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                results.append({"image_id": image, "category_id": 1, "bbox": sides, "score": score})
    if not results:
        return
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            "images": [{"id": i} for i in range(1, 6)], "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}],
        }  # fmt: skip
        data.createIndex()
        scoring = cocoeval.COCOeval(data, data.loadRes(results), "bbox")
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    tally = scorer.classes["person"]
    assert tally.ap == pytest.approx(scoring.stats[0], abs=1e-6)
    assert tally.ap50 == pytest.approx(scoring.stats[1], abs=1e-6)


def placed(*rows: tuple[float, float, int], labels: tuple[str, ...] = ("person", "obstacle")) -> Detections3D:
    count = len(rows)
    table = np.array(rows, np.float32).reshape(-1, 3)
    centers = np.column_stack([table[:, :2], np.ones(count)]).astype(np.float32)
    return Detections3D(
        centers, np.ones((count, 3), np.float32), np.zeros(count, np.float32), np.full(count, 0.5, np.float32),
        table[:, 2].astype(np.int64), labels,
    )  # fmt: skip


def test_distances_of_what_is_found() -> None:
    scorer = Scorer3D()
    real = placed((3, 0, 0), (0, 4, 0), (30, 0, 0))
    scorer.add(placed((3.2, 0, 0), (5, 5, 0), (1, 1, 1), (29.5, 0, 0)), real, ["a", "b", "c"], ["1", "2", "3", "4"])
    scorer.add(placed((2.9, 0.3, 0)), real, ["a", "b", "c"], ["7"])
    tally = scorer.classes["person"]
    assert (tally.truths, tally.found, tally.wrong) == (4, 2, 0)
    assert tally.range_errors == pytest.approx([0.2, 3 - math.hypot(2.9, 0.3)], abs=1e-5)
    assert scorer.identities.switches == 1


def test_a_person_where_nobody_is_is_wrong() -> None:
    scorer = Scorer3D()
    scorer.add(placed((2, 0, 0)), placed((2, 3, 0)), ["a"])
    assert (scorer.classes["person"].wrong, scorer.classes["person"].found) == (1, 0)


def test_tables_say_what_is_not_known() -> None:
    scorer, space = Scorer2D(), Scorer3D()
    assert "nothing" in as_text(table_2d(scorer))
    scorer.add(boxes((0, 0, 9, 9, 0.5, 1)), truth((50, 50, 60, 60, 1, 0)), 1)
    space.add(placed(), placed((1, 0, 0)), ["a"])
    text = as_text(table_2d(scorer))
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["person", "dog"]
    assert " - " in text
    assert as_plain(table_2d(scorer))["dog"]["recall"] is None
    assert as_plain(table_3d(space))["person"]["recall"] == 0
    assert math.isnan(Tally().precision)
