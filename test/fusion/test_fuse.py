"""Fusion against projections worked out by hand, with distortion, and on KITTI's own calibration."""

import numpy as np
import pytest

from robot_ai.fusion.fuse import FusionSettings, View, fuse, project_boxes, robust_range
from robot_ai.geometry.camera import CameraModel
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.cluster_detector import ClusterDetector, ClusterSettings
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.perception.detections import Detections
from robot_ai.training.kitti import KittiDataSet

K = (500.0, 0, 320.0, 0, 500.0, 240.0, 0, 0, 1)
# From a frame that looks along x into one that looks along z; the camera is 0.2 m above the lidar.
AHEAD = RigidTransform(np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]), np.array([0.0, 0.2, 0.0]))
PLAIN = CameraModel.raw((640, 480), K, (), "plumb_bob")
BENT = CameraModel.raw((640, 480), K, (-0.2, 0.05, 0.001, -0.001, 0.0), "plumb_bob")
COCO = ("person", "bicycle", "car")


def boxes(*rows):
    """x, y, z, length, width, height."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    count = len(table)
    return Detections3D(
        table[:, :3], table[:, 3:], np.zeros(count, np.float32), np.full(count, 0.5, np.float32),
        np.full(count, LABELS.index("obstacle"), np.int64),
    )  # fmt: skip


def seen(*rows):
    """left, top, right, bottom, class."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], np.full(len(table), 0.8, np.float32), table[:, 4].astype(np.int64), COCO)


def distorted(x, y):
    """The plumb-bob formula of the ROS documentation, written out."""
    k1, k2, p1, p2 = -0.2, 0.05, 0.001, -0.001
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    return (
        320 + 500 * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)),
        240 + 500 * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y),
    )


def test_a_box_is_projected_with_distortion():
    rectangle, visible = project_boxes(boxes((10, 1, 0, 2, 2, 1)), View(BENT, AHEAD))
    assert visible.all()
    # The near face is at 9 m, from 2 m left to the middle; the lidar's height is 0.2 m below the camera.
    corners = [distorted(-y / depth, -(z - 0.2) / depth) for y in (0, 2) for z in (-0.5, 0.5) for depth in (9, 11)]
    low, high = np.min(corners, axis=0) + 0.5, np.max(corners, axis=0) + 0.5
    assert rectangle[0] == pytest.approx([*low, *high], abs=1e-4)


def test_what_is_behind_or_beside_is_not_in_sight():
    _, visible = project_boxes(
        boxes((-10, 0, 0, 1, 1, 1), (5, 40, 0, 1, 1, 1), (0.2, 0, 0, 2, 1, 1)), View(PLAIN, AHEAD)
    )
    assert visible.tolist() == [False, False, False]
    assert project_boxes(Detections3D.empty(), View(PLAIN, AHEAD))[0].shape == (0, 4)


def test_class_from_the_camera_and_place_from_the_lidar():
    placed = boxes((10, 1, 0, 2, 2, 1), (15, -3, 0, 1, 1, 2))
    rectangle = project_boxes(placed, View(BENT, AHEAD))[0][0]
    result = fuse(seen([*rectangle, 2]), placed, np.empty((0, 3)), View(BENT, AHEAD), FusionSettings())
    assert (result.both, result.camera_only, result.lidar_only) == (1, 0, 1)
    assert result.detections.names == ["car", "obstacle"]
    assert result.placed.tolist() == [0, 1]
    assert result.detections.centers == pytest.approx(placed.centers)
    assert result.detections.scores == pytest.approx([0.9, 0.5])


def test_a_camera_detection_alone_gets_its_range_from_the_points_inside():
    # A person 8 m ahead, seen by few points, before a wall at 20 m that most points are on.
    person = np.column_stack([np.full(30, 8.0), np.tile([-0.2, 0, 0.2], 10), np.linspace(-0.5, 0.5, 30)])
    wall = np.column_stack([np.full(40, 20.0), np.linspace(-0.6, 0.6, 40), np.zeros(40)])
    box = [320 - 20, 240 + 12 - 50, 320 + 20, 240 + 12 + 50, 0]
    points = np.concatenate([person, wall])
    result = fuse(seen(box), Detections3D.empty(), points, View(PLAIN, AHEAD), FusionSettings())
    assert (result.both, result.camera_only, result.unplaced) == (0, 1, 0)
    (center,), (size,) = result.detections.centers, result.detections.sizes
    assert center == pytest.approx([8.25, 0, 0.2 - 12 / 500 * 8.25], abs=0.05)
    assert size[1:] == pytest.approx([40 / 500 * 8, 100 / 500 * 8], abs=0.02)
    assert result.detections.names == ["person"]


def test_without_points_a_camera_detection_is_left_out_and_counted():
    result = fuse(seen([0, 0, 50, 50, 0]), Detections3D.empty(), np.empty((0, 3)), View(PLAIN, AHEAD), FusionSettings())
    assert (len(result.detections), result.unplaced) == (0, 1)


def test_points_pair_a_thing_that_is_half_hidden():
    """A car of which the image shows the rear alone, behind a post that stands within its box in the image."""
    car, post = (14, 0, 0, 8, 2, 2), (8, 0.3, 0, 0.3, 0.3, 1.6)
    rear = np.array([[10.0, y, z] for y in np.linspace(-0.9, 0.9, 20) for z in np.linspace(-0.8, 0.8, 12)])
    stem = np.array([[7.9, 0.3, z] for z in np.linspace(-0.7, 0.7, 12)])
    view, half = View(PLAIN, AHEAD), seen((275, 200, 320, 285, 2))
    alone = fuse(half, boxes(car, post), np.empty((0, 3)), view, FusionSettings(iou=0.45))
    assert alone.both == 0
    # The hidden half returns nothing: only points that the camera sees too are in the cloud.
    visible = rear[rear[:, 1] > 0.02]
    both = fuse(half, boxes(car, post), np.vstack([visible, stem]), view, FusionSettings(iou=0.45))
    assert both.both == 1
    assert both.detections.names[:2] == ["car", "obstacle"]


def test_only_what_both_see_on_request():
    placed = boxes((10, 1, 0, 2, 2, 1), (15, -3, 0, 1, 1, 2))
    rectangle = project_boxes(placed, View(PLAIN, AHEAD))[0][0]
    settings = FusionSettings(camera_only=False, lidar_only=False)
    result = fuse(seen([*rectangle, 2], [0, 0, 9, 9, 0]), placed, np.zeros((9, 3)), View(PLAIN, AHEAD), settings)
    assert result.detections.names == ["car"]


def test_range_is_a_mode_not_a_mean():
    rng = np.random.default_rng(0)
    thing, background = rng.normal(6, 0.1, 40), rng.uniform(15, 40, 60)
    assert robust_range(np.concatenate([thing, background])) == pytest.approx(6, abs=0.1)
    assert robust_range(np.array([5.0, 5.1])) is None


def test_kitti_pedestrian_by_both(shared_data):
    """The true box of the image, made a camera detection, names the cluster that the lidar found."""
    frame = next(iter(KittiDataSet(shared_data / "data" / "kitti3")))
    placed = ClusterDetector().detect(frame.points, ClusterSettings()).detections
    # Of label_2/000000.txt.
    person = seen([712.40, 143.00, 810.73, 307.92, 0])
    result = fuse(person, placed, frame.points, View(frame.camera, frame.lidar_to_camera), FusionSettings())
    assert (result.both, result.camera_only) == (1, 0)
    matches = [i for i, name in enumerate(result.detections.names) if name == "person"]
    gaps = np.linalg.norm(result.detections.centers[matches] - frame.objects.centers[0], axis=1)
    assert gaps.min() < 0.3
    assert result.detections.scores[matches[int(np.argmin(gaps))]] > 0.9
    # Without the cluster the points inside the box tell the range.
    alone = fuse(
        person, Detections3D.empty(), frame.points, View(frame.camera, frame.lidar_to_camera), FusionSettings()
    )
    assert np.linalg.norm(alone.detections.centers[0] - frame.objects.centers[0]) < 0.5
