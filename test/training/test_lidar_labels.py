"""Labels drawn over scans, and the scores by them, on a scan made up here."""

from pathlib import Path

import numpy as np
import pytest

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.errors import CloudFileError
from robot_ai.training.lidar_labels import LabelFile, LabelFileError, evaluate
from robot_ai.training.lidar_scoring import BANDS

OWN = Path(__file__).parent / "labels"
VEHICLE, PERSON = LABELS.index("vehicle"), LABELS.index("person")
YARD = """
frames:
  - scan: yard.npy
    reach: 30
    boxes:
      - [vehicle, 10, 0, 4, 2, 90]
      - [person, 5, 5, 0.6, 0.6, 0]
    unsure:
      - [-8, 0, 1.5]
"""


@pytest.fixture
def yard(tmp_path: Path) -> LabelFile:
    """A floor 1.5 m below the lidar, a car across the way at 10 m, and a person of whom three points are seen."""
    rng = np.random.default_rng(0)
    ways, turns = np.meshgrid(np.linspace(2, 30, 40), np.linspace(-np.pi, np.pi, 90))
    floor = np.column_stack([(ways * np.cos(turns)).ravel(), (ways * np.sin(turns)).ravel(), np.full(3600, -1.5)])
    car = rng.uniform((9.1, -1.9, -1.2), (10.9, 1.9, 0.0), (60, 3))
    walker = np.array([[5, 5, 0], [5, 5.1, -0.5], [5.1, 5, -1]])
    np.save(tmp_path / "yard.npy", np.concatenate([floor, car, walker]).astype(np.float32))
    (tmp_path / "labels.yaml").write_text(YARD, encoding="utf-8")
    return LabelFile(tmp_path / "labels.yaml", tmp_path)


def found(*rows: tuple[float, float, int]) -> Detections3D:
    table = np.array(rows, np.float32).reshape(-1, 3)
    ones = np.ones(len(table), np.float32)
    centers = np.column_stack([table[:, :2], 0 * ones])
    return Detections3D(centers, np.ones((len(table), 3), np.float32), ones, ones, table[:, 2].astype(np.int64))


def test_points_are_counted_on_the_plans_above_the_ground(yard: LabelFile) -> None:
    (scan,) = yard
    assert scan.objects.names == ["vehicle", "person"]
    # The car's own, without those less than 0.2 m above the ground; the floor below it is no point of it.
    assert 50 <= scan.counts[0] <= 60
    assert scan.counts[1] == 3


def test_scores_by_hand(yard: LabelFile) -> None:
    boxes = found(
        (10.5, 0, VEHICLE),  # right
        (-8.5, 0, VEHICLE),  # where nobody could tell
        (-12.0, 0, VEHICLE),  # wrong
        (5.0, 5.2, PERSON),  # right, but too thinly seen to be asked for
        (35.0, 0, VEHICLE),  # beyond what was labeled
    )
    scores = evaluate(yard, lambda points: boxes)
    cars, people = scores["vehicle", BANDS[0]], scores["person", BANDS[0]]
    assert (cars.found, cars.asked, cars.right, cars.said) == (1, 1, 1, 2)
    assert (people.found, people.asked, people.right, people.said) == (0, 0, 1, 1)
    assert scores["vehicle", BANDS[1]].said == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "frames: 3",
        "frames: [7]",
        "frames: [{scan: yard.npy}]",
        "frames: [{scan: yard.npy, reach: 20, boxes: [[tank, 1, 2, 3, 4, 5]]}]",
        "frames: [{scan: yard.npy, reach: 20, boxes: [[vehicle, 1, 2]]}]",
        "frames: [{scan: yard.npy, reach: 20, unsure: [[1, 2]]}]",
    ],
)
def test_what_is_no_label_file_is_refused(tmp_path: Path, yard: LabelFile, text: str) -> None:
    (tmp_path / "labels.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LabelFileError, match=r"labels\.yaml.*expected"):
        list(LabelFile(tmp_path / "labels.yaml", tmp_path))


def test_a_file_or_a_scan_that_is_missing_is_named(tmp_path: Path, yard: LabelFile) -> None:
    with pytest.raises(LabelFileError, match=r"none\.yaml"):
        LabelFile(tmp_path / "none.yaml", tmp_path)
    (tmp_path / "yard.npy").unlink()
    with pytest.raises(CloudFileError, match=r"yard\.npy"):
        list(yard)


def test_our_own_labels_can_be_read(shared_data: Path) -> None:
    pytest.importorskip("ouster.sdk", exc_type=ImportError)
    (scan,) = LabelFile(OWN / "ouster_street.yaml", shared_data / "data" / "ouster")
    assert (scan.counts >= 20).all()
