"""KITTI's formats and the scores, on a frame made up here: none of KITTI's own data is needed."""

import cv2
import numpy as np
import pytest

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.training.kitti import KittiDataSet, KittiError, evaluate
from robot_ai.training.lidar_scoring import BANDS

# The camera looks along the lidar's x axis, 0.1 m below it.
CALIBRATION = """P2: 500 0 300 0 0 500 100 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 0
"""
LABEL = "{kind} 0 0 0 {box} {h} {w} {l} {x} {y} {z} {ry}\n"


def write(folder, objects, points):
    for name in ("velodyne", "label_2", "calib", "image_2"):
        (folder / name).mkdir()
    np.column_stack([points, np.ones(len(points))]).astype("<f4").tofile(folder / "velodyne" / "000000.bin")
    (folder / "calib" / "000000.txt").write_text(CALIBRATION)
    (folder / "label_2" / "000000.txt").write_text("".join(objects))
    cv2.imwrite(str(folder / "image_2" / "000000.png"), np.zeros((200, 600, 3), np.uint8))
    return KittiDataSet(folder)


@pytest.fixture
def data(tmp_path):
    """A car at 10 m, a pedestrian at 25 m with too few points, and a region that nobody labeled at 5 m to the left."""
    car = LABEL.format(kind="Car", box="0 0 0 0", h=1.5, w=1.8, l=4.0, x=1.0, y=0.9, z=10.0, ry=0.0)
    walker = LABEL.format(kind="Pedestrian", box="0 0 0 0", h=1.8, w=0.6, l=0.8, x=0, y=0.9, z=25.0, ry=0.0)
    region = LABEL.format(kind="DontCare", box="0 0 150 200", h=-1, w=-1, l=-1, x=-1000, y=-1000, z=-1000, ry=-10)
    rng = np.random.default_rng(0)
    on_car = rng.uniform((9.2, -2.9, -1.0), (10.8, 0.9, 0.4), (100, 3))
    return write(tmp_path, [car, walker, region], np.concatenate([on_car, [[25.0, 0, 0]]]))


def found(*rows):
    table = np.array(rows, np.float32).reshape(-1, 3)
    ones = np.ones((len(table), 1), np.float32)
    centers = np.concatenate([table[:, :2], -0.2 * ones], axis=1)
    sizes = np.tile(np.array([4.0, 1.8, 1.6], np.float32), (len(table), 1))
    return Detections3D(centers, sizes, ones[:, 0] * np.pi / 2, ones[:, 0], table[:, 2].astype(np.int64))


def test_boxes_come_into_the_lidars_frame(data):
    (frame,) = data
    assert frame.objects.names == ["vehicle", "person"]
    # The lower face is 0.9 m below the camera: the middle of 1.5 m lies 0.15 m below it, 0.25 m below the lidar.
    assert frame.objects.centers[0] == pytest.approx([10, -1, -0.25], abs=1e-5)
    # A heading of 0 looks along the camera's x, the lidar's -y.
    assert abs(np.sin(frame.objects.yaws[0])) == pytest.approx(1)
    assert frame.objects.contains(frame.points)[0].sum() == 100


def test_scores_by_hand(data):
    vehicle, person = LABELS.index("vehicle"), LABELS.index("person")
    boxes = found(
        (10.5, -1, vehicle),  # right
        (10.0, -1.5, vehicle),  # the same car again: wrong
        (5.0, 2.5, vehicle),  # on DontCare
        (18.0, 0.0, person),  # wrong
        (-10.0, 0.0, person),  # behind the camera
        (25.0, 0.3, person),  # right, but not asked for
    )
    score = evaluate(data, lambda points: boxes)
    near, far = BANDS
    cars, people = score.bands["vehicle", near], score.bands["person", near]
    assert (cars.found, cars.asked, cars.right, cars.said) == (1, 1, 1, 2)
    assert (people.found, people.asked, people.right, people.said) == (0, 0, 0, 1)
    distant = score.bands["person", far]
    assert (distant.asked, distant.right, distant.said) == (0, 1, 1)
    assert (cars.recall, cars.precision) == (1.0, 0.5)
    assert np.isnan(people.recall)
    assert (score.noticed, score.objects) == (1, 1)


def test_what_is_not_kitti_is_refused(tmp_path, data):
    with pytest.raises(KittiError, match="no scans"):
        KittiDataSet(tmp_path / "none")
    (tmp_path / "calib" / "000000.txt").write_text("P2: 1 2\n")
    with pytest.raises(KittiError, match="P2"):
        list(data)
    (tmp_path / "calib" / "000000.txt").write_text("P2: a b\n")
    with pytest.raises(KittiError, match="calibration"):
        list(data)
