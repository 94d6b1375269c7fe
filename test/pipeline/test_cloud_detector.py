"""Sweeps into the frame they are wanted in."""

import math
from dataclasses import replace

import numpy as np
import pytest

from robot_ai.backends.errors import MissingFrameworkError
from robot_ai.backends.loading import BackendChoice
from robot_ai.backends.registry import BackendInfo
from robot_ai.geometry.errors import UnknownFrameError
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.cluster_detector import ClusterSettings
from robot_ai.lidar.filters import Region
from robot_ai.lidar.scan_detector import ScanSettings
from robot_ai.lidar.scans import RawScan, scan_points
from robot_ai.pipeline import cloud_detector
from robot_ai.pipeline.cloud_detector import AUTO, CloudDetector, Sweep, SweepSettings, settled
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast
from robot_ai.training.lidar_shapes import person

SECOND = 1_000_000_000


def settings(**changes):
    return SweepSettings(ClusterSettings(), ScanSettings(), **changes)


def walker():
    rng = np.random.default_rng(0)
    return cast(Scene(Ground.level(1.8), (person(rng),), ((6.0, 2.0, 0.0),)), BEAMS[64], rng).measured


def pitched(degrees):
    half = math.radians(degrees) / 2
    return RigidTransform.from_quaternion((0.5, 0, 1.8), (0, math.sin(half), 0, math.cos(half)))


def test_a_tilted_lidar_is_set_upright_by_the_target_frame():
    """The lidar looks down by 25 degrees: its own frame has no level ground, base has."""
    mount = pitched(25)
    level = walker() + np.array([0, 0, 1.8], np.float32)
    seen = mount.inverse.apply(level + np.array([0.5, 0, 0], np.float32))
    asked = []

    def lookup(target, source, stamp):
        asked.append((target, source, stamp))
        return mount

    (found,) = CloudDetector(lookup).detect([Sweep(seen, "lidar", 7)], settings(target_frame="base")).detections
    assert asked == [("base", "lidar", 7)]
    assert found.frame == "base"
    assert found.detections.names == ["person"]
    assert found.detections.centers[0] == pytest.approx([6.5, 2, 0.9], abs=0.2)


def test_without_a_target_frame_tf_is_not_asked():
    def lookup(*_):
        raise AssertionError("nobody needs a transform")

    for target in ("", "lidar"):
        result = CloudDetector(lookup).detect([Sweep(walker(), "lidar", 0)], settings(target_frame=target))
        assert result.detections[0].frame == "lidar"
        assert set(result.durations) == {"crop", "ground", "cluster", "boxes"}


def test_a_missing_transform_comes_through():
    def lookup(*_):
        raise UnknownFrameError("no frame")

    with pytest.raises(UnknownFrameError):
        CloudDetector(lookup).detect([Sweep(walker(), "lidar", 0)], settings(target_frame="odom"))


def test_boxes_of_a_scan_are_moved_and_turned():
    ranges = np.full(720, np.inf, np.float32)
    ranges[355:366] = 2.0 / np.cos((np.arange(355, 366) - 360) * (2 * np.pi / 720))
    scan = scan_points(RawScan(-np.pi, 2 * np.pi / 720, 0.1, 20.0, ranges))
    quarter = RigidTransform.from_quaternion((1, 0, 0.3), (0, 0, math.sqrt(0.5), math.sqrt(0.5)))
    detector = CloudDetector(lambda *_: quarter)
    (own,) = detector.detect([Sweep(scan, "laser", 0)], settings()).detections
    (moved,) = detector.detect([Sweep(scan, "laser", 0)], settings(target_frame="base")).detections
    assert own.detections.centers[0] == pytest.approx([2, 0, 0], abs=0.01)
    assert moved.detections.centers[0] == pytest.approx([1, 2, 0.3], abs=0.01)
    turn = moved.detections.yaws[0] - own.detections.yaws[0] - math.pi / 2
    assert abs(math.remainder(turn, math.pi)) < 1e-3


def test_regions_crop_scans_too():
    """In the frame of detection: here the scanner is 1 m ahead of the base, and looks to its left."""
    ranges = np.full(720, np.inf, np.float32)
    for beam in (180, 360, 540):
        ranges[beam - 5 : beam + 6] = 2.0
    scan = scan_points(RawScan(-np.pi, 2 * np.pi / 720, 0.1, 20.0, ranges))
    quarter = RigidTransform.from_quaternion((1, 0, 0.3), (0, 0, math.sqrt(0.5), math.sqrt(0.5)))

    def places(target_frame="", **regions):
        cluster = replace(ClusterSettings(), **{name: Region.parse(text) for name, text in regions.items()})
        asked = SweepSettings(cluster, ScanSettings(), target_frame)
        (found,) = CloudDetector(lambda *_: quarter).detect([Sweep(scan, "laser", 0)], asked).detections
        return sorted(np.round(found.detections.centers[:, :2]).astype(int).tolist())

    assert places() == [[0, -2], [0, 2], [2, 0]]
    assert places(region="1 9 -9 9 -inf inf") == [[2, 0]]
    assert places(robot="1 9 -9 9 -inf inf") == [[0, -2], [0, 2]]
    assert places("base") == [[-1, 0], [1, 2], [3, 0]]
    assert places("base", robot="-2 0 -1 1 0.2 0.4") == [[1, 2], [3, 0]]


def test_tracking_numbers_from_sweep_to_sweep_and_stops_when_switched_off():
    detector, cloud = CloudDetector(lambda *_: RigidTransform.identity()), walker()

    def ids(stamp, tracking):
        (found,) = detector.detect([Sweep(cloud, "lidar", stamp)], settings(tracking=tracking)).detections
        return found.tracks and found.tracks.ids

    assert [ids(SECOND, True), ids(SECOND + SECOND // 10, True)] == [[""], ["1"]]
    assert ids(SECOND + SECOND // 5, False) is None
    assert ids(SECOND + SECOND // 4, True) == [""]


@pytest.mark.parametrize(
    ("installed", "asked", "expected"),
    [
        (("pytorch", "onnx", "litert"), {}, "litert"),
        (("pytorch", "onnx"), {"device": "cpu"}, "onnx"),
        (("pytorch",), {}, "pytorch"),
        (("pytorch", "onnx", "litert"), {"device": "cuda:0"}, "pytorch"),
        (("pytorch", "onnx", "litert"), {"precision": "bfloat16"}, "pytorch"),
        (("pytorch", "onnx"), {"backend": "tensorflow"}, "tensorflow"),
    ],
)
def test_auto_is_the_quickest_backend_that_can_be_had(monkeypatch, installed, asked, expected):
    there = [BackendInfo(name, name in installed, None, "") for name in ("litert", "onnx", "pytorch", "tensorflow")]
    monkeypatch.setattr(cloud_detector, "available", lambda: there)
    choice = BackendChoice(**{"model": "pillarnet", "backend": AUTO, "threads": 3} | asked)
    found = settled(choice)
    assert found.backend == expected
    assert (found.model, found.threads, found.device) == ("pillarnet", 3, choice.device)


def test_without_any_framework_auto_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cloud_detector, "available", lambda: [BackendInfo("pytorch", False, None, "")])
    with pytest.raises(MissingFrameworkError, match=r"pip install -e '\.\[pytorch\]'"):
        settled(BackendChoice("pillarnet", AUTO))
