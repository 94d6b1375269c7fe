"""The classical detector on simulated scans whose boxes are known, and on real ones."""

from pathlib import Path

import numpy as np
import pytest

from robot_ai.lidar.cluster_detector import ClusterDetector, ClusterSettings
from robot_ai.lidar.detections import LABELS
from robot_ai.lidar.filters import Region
from robot_ai.training.kitti import KittiDataSet, evaluate
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast, random_scene
from robot_ai.training.lidar_shapes import Shape, Thing, person, vehicle

DETECTOR = ClusterDetector()
SETTINGS = ClusterSettings()
PERSON, VEHICLE = LABELS.index("person"), LABELS.index("vehicle")


def street(seed=4):
    """Two people and two cars on a level floor, in the open."""
    rng = np.random.default_rng(seed)
    things = (person(rng), person(rng), vehicle(rng), vehicle(rng))
    places = ((6.0, 1.0, 0.4), (-9.0, 5.0, 2.0), (12.0, -6.0, 0.5), (-4.0, -12.0, 0.2))
    scene = Scene(Ground.level(1.8), things, places)
    return scene, cast(scene, BEAMS[64], rng).measured


def nearest(detections, center):
    gaps = np.linalg.norm(detections.centers - center, axis=1)
    return int(np.argmin(gaps)), float(gaps.min())


def test_people_and_cars_are_found_where_they_are():
    scene, points = street()
    found = DETECTOR.detect(points, SETTINGS).detections
    truth = scene.truth
    for center, label in zip(truth.centers, truth.class_indices, strict=True):
        index, gap = nearest(found, center)
        assert found.class_indices[index] == label
        assert gap < (0.3 if label == PERSON else 1.0)
    assert len(found) == 4


@pytest.mark.parametrize("angle", [0.7, 2.0, -2.6])
def test_turning_and_shuffling_the_cloud_turns_the_boxes(angle):
    _, points = street()
    before = DETECTOR.detect(points, SETTINGS).detections
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float32)
    shuffled = points[np.random.default_rng(0).permutation(len(points))]
    after = DETECTOR.detect(shuffled @ turn.T, SETTINGS).detections
    assert len(after) == len(before)
    for i, center in enumerate(before.centers @ turn.T):
        index, gap = nearest(after, center)
        assert gap < 0.15
        assert after.class_indices[index] == before.class_indices[i]
        turned = (after.yaws[index] - before.yaws[i] - angle + np.pi / 2) % np.pi - np.pi / 2
        if before.class_indices[i] == VEHICLE:
            assert abs(turned) < np.radians(5)


def test_the_origin_says_where_the_sensor_is():
    _, points = street()
    here = DETECTOR.detect(points, SETTINGS).detections
    offset = np.array([500.0, -300.0, 20.0])
    there = DETECTOR.detect((points + offset).astype(np.float32), SETTINGS, offset).detections
    assert there.centers - offset == pytest.approx(here.centers, abs=0.05)


def test_range_region_robot_and_classes():
    _, points = street()

    def labels(**changes):
        return DETECTOR.detect(points, ClusterSettings(**changes)).detections.names

    assert labels(max_range=8.0) == ["person"]
    assert sorted(labels(region=Region((0, 20), (-10, 10)))) == ["person", "vehicle"]
    assert labels(robot=Region((0, 20), (-20, 20))).count("person") == 1
    assert set(labels(classes=("vehicle",))) == {"vehicle"}
    assert labels(score=1.0, classes=("obstacle",)) == []


def test_boxes_reach_the_ground():
    _, points = street()
    found = DETECTOR.detect(points, SETTINGS).detections
    assert found.centers[:, 2] - found.sizes[:, 2] / 2 == pytest.approx(-1.8, abs=0.1)


def test_what_is_larger_than_the_largest_is_left_out():
    house = Thing("", (Shape("box", (0, 0, 1), (1, 9, 1)),))
    scan = cast(Scene(Ground.level(1.8), (house,), ((9.0, 0.0, 0.0),)), BEAMS[64], np.random.default_rng(0))
    assert not len(DETECTOR.detect(scan.measured, SETTINGS).detections)
    assert len(DETECTOR.detect(scan.measured, ClusterSettings(max_size=40)).detections)


def test_the_same_cloud_gives_the_same_boxes():
    _, points = street()
    first, second = (DETECTOR.detect(points, SETTINGS).detections for _ in range(2))
    assert first.centers.tolist() == second.centers.tolist()
    assert first.yaws.tolist() == second.yaws.tolist()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_almost_nothing(count):
    assert not len(DETECTOR.detect(np.ones((count, 3), np.float32), SETTINGS).detections)


def test_a_lidar_that_sees_no_ground_still_sees_things():
    box = np.random.default_rng(0).uniform((4, -0.3, -0.5), (4.5, 0.3, 0.6), (400, 3)).astype(np.float32)
    assert len(DETECTOR.detect(box, SETTINGS).detections) == 1


def test_recall_in_random_scenes():
    """What a lidar hits with 50 points or more within 20 m is nearly always found, by whatever name."""
    asked = found = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng)
        scan = cast(scene, BEAMS[64], rng)
        boxes = DETECTOR.detect(scan.measured, SETTINGS).detections
        truth = scene.truth
        labeled = [i for i, thing in enumerate(scene.things) if thing.label]
        for center, index in zip(truth.centers, labeled, strict=True):
            if (scan.things == index).sum() < 50 or np.hypot(*center[:2]) > 20:
                continue
            asked += 1
            found += np.linalg.norm(boxes.centers[:, :2] - center[:2], axis=1).min() < 1.5
    assert asked > 30
    assert found / asked > 0.9


def test_kitti_pedestrian(shared_data: Path):
    score = evaluate(
        KittiDataSet(shared_data / "data" / "kitti3"), lambda points: DETECTOR.detect(points, SETTINGS).detections
    )
    assert score.bands["person", (0.0, 20.0)].recall == 1.0
    assert score.noticed == score.objects == 3
