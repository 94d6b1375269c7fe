"""Tracks over simulated sequences whose truth is known, and judged by MOTA and id switches."""

import numpy as np
import pytest

from robot_ai.lidar.cluster_detector import ClusterDetector, ClusterSettings
from robot_ai.lidar.detections import Detections3D
from robot_ai.perception.detections import Detections
from robot_ai.tracking.tracker_2d import Tracker2D
from robot_ai.tracking.tracker_3d import Tracker3D
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast
from robot_ai.training.lidar_shapes import person

STEP = 100_000_000


def boxes(positions, scores=None):
    centers = np.array(positions, np.float32).reshape(-1, 3)
    count = len(centers)
    scores = np.full(count, 0.8, np.float32) if scores is None else np.array(scores, np.float32)
    return Detections3D(
        centers, np.ones((count, 3), np.float32), np.zeros(count, np.float32), scores, np.zeros(count, np.int64)
    )


def images(centers, scores=None):
    middle = np.array(centers, np.float32).reshape(-1, 2)
    scores = np.full(len(middle), 0.9, np.float32) if scores is None else np.array(scores, np.float32)
    return Detections(
        np.concatenate([middle - 20, middle + 20], axis=1), scores, np.zeros(len(middle), np.int64), ("person",)
    )


def test_two_that_cross_keep_their_numbers_and_velocities():
    tracker, rng = Tracker3D(), np.random.default_rng(0)
    seen = []
    for frame in range(40):
        time = frame * 0.1
        truth = np.array([[-4 + 2 * time, 0.4, 0], [4 - 2 * time, -0.4, 0]])
        order = rng.permutation(2)
        batch = tracker.update(boxes((truth + rng.normal(0, 0.05, truth.shape))[order]), frame * STEP)
        seen.append([batch.ids[int(np.flatnonzero(order == who)[0])] for who in (0, 1)])
        velocities = batch.velocities[np.argsort(order)]
    assert len({tuple(ids) for ids in seen[2:]}) == 1
    assert velocities[0] == pytest.approx([2, 0, 0], abs=0.4)
    assert velocities[1] == pytest.approx([-2, 0, 0], abs=0.4)


def test_a_short_gap_is_bridged_and_a_long_one_is_not():
    tracker = Tracker3D()
    ids = {}
    for frame in [*range(5), *range(9, 12), *range(30, 33)]:
        batch = tracker.update(boxes([[frame * 0.1, 0, 0]]), frame * STEP)
        ids[frame] = batch.ids[0]
    assert ids[4] == ids[9] == ids[11] != ""
    assert ids[32] not in ("", ids[11])


def test_a_number_is_told_from_the_second_sight_on():
    tracker = Tracker3D()
    assert tracker.update(boxes([[0, 0, 0]]), 0).ids == [""]
    assert tracker.update(boxes([[0, 0, 0]]), STEP).ids == ["1"]


def test_doubtful_detections_keep_tracks_but_begin_none():
    tracker = Tracker3D()
    for frame in range(3):
        batch = tracker.update(boxes([[0, 0, 0], [9, 0, 0]], [0.8, 0.35]), frame * STEP)
    assert (batch.ids[0] != "", batch.ids[1]) == (True, "")
    known = batch.ids[0]
    assert tracker.update(boxes([[0, 0, 0]], [0.35]), 3 * STEP).ids == [known]


def test_another_frame_and_a_clock_set_back_end_all_tracks():
    tracker = Tracker3D()
    for frame in range(3):
        first = tracker.update(boxes([[0, 0, 0]]), (10 + frame) * STEP, "odom").ids[0]
    assert tracker.update(boxes([[0, 0, 0]]), 13 * STEP, "map").ids == [""]
    second = tracker.update(boxes([[0, 0, 0]]), 14 * STEP, "map").ids[0]
    assert second not in ("", first)
    assert tracker.update(boxes([[0, 0, 0]]), 0, "map").ids == [""]


def test_a_car_that_passes_fast_is_one():
    """25 m/s, beside two people who stand: 2.5 m from cloud to cloud."""
    tracker, rng = Tracker3D(), np.random.default_rng(0)
    for frame in range(12):
        places = np.array([[-15 + 2.5 * frame, 4, 0], [0, 1, 0], [1.2, 1, 0]])
        batch = tracker.update(boxes(places + rng.normal(0, 0.1, (3, 3))), frame * STEP)
        if frame == 1:
            first = batch.ids
    assert "" not in first
    assert batch.ids == first
    assert batch.velocities[0] == pytest.approx([25, 0, 0], abs=1)
    assert batch.velocities[1:] == pytest.approx(np.zeros((2, 3)), abs=1)


def test_a_stamp_a_little_late_ends_no_track():
    tracker = Tracker3D()
    stamps = [0, STEP, 2 * STEP, 2 * STEP - STEP // 10, 3 * STEP]
    numbers = [tracker.update(boxes([[0, 0, 0]]), stamp).ids for stamp in stamps]
    assert numbers == [[""], ["1"], ["1"], ["1"], ["1"]]


def test_nothing_found():
    assert Tracker3D().update(Detections3D.empty(), 0).ids == []
    assert Tracker2D().update(Detections.empty(("person",)), 0) == []


def test_boxes_in_images():
    tracker = Tracker2D()
    for frame in range(30):
        x = 10.0 * frame
        ids = tracker.update(images([[50 + x, 100], [350 - x, 125]]), frame * STEP // 3)
        if frame == 2:
            first = ids
    assert "" not in first
    assert ids == first


def mota(truths, outputs):
    """MOTA and id switches (Bernardin & Stiefelhagen, 2008); truths and outputs: per frame, dicts of id to (x, y)."""
    misses = false = switches = total = 0
    last: dict = {}
    for truth, output in zip(truths, outputs, strict=True):
        free = dict(output)
        total += len(truth)
        for who, place in truth.items():
            near = {i: np.hypot(p[0] - place[0], p[1] - place[1]) for i, p in free.items()}
            best = last[who] if near.get(last.get(who), 9) < 1 else min(near, key=near.get, default=None)
            if best is None or near[best] >= 1:
                misses += 1
                continue
            switches += last.get(who, best) != best
            last[who] = best
            del free[best]
        false += len(free)
    return 1 - (misses + false + switches) / total, switches


def test_simulated_walkers_by_mota():
    """Six people cross a yard for six seconds, ray-cast and detected, hiding each other now and then."""
    rng, detector, tracker = np.random.default_rng(3), ClusterDetector(), Tracker3D()
    people = [person(rng) for _ in range(6)]
    starts, headings = rng.uniform(-9, 9, (6, 2)), rng.uniform(-np.pi, np.pi, 6)
    truths, outputs = [], []
    for frame in range(60):
        turns = headings + 0.4 * np.sin(frame / 15 + np.arange(6))
        starts = starts + 0.13 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        starts = np.where(np.abs(starts) > 12, np.sign(starts) * 12, starts)
        places = tuple((float(x), float(y), float(a)) for (x, y), a in zip(starts, turns, strict=True))
        scan = cast(Scene(Ground.level(1.8), tuple(people), places), BEAMS[64], rng)
        batch = tracker.update(detector.detect(scan.measured, ClusterSettings()).detections, frame * STEP)
        hits = [int((scan.things == who).sum()) for who in range(6)]
        truths.append({who: starts[who] for who in range(6) if hits[who] >= 20})
        outputs.append({i: c for i, c in zip(batch.ids, batch.detections.centers, strict=True) if i})
    score, switches = mota(truths, outputs)
    print(f"MOTA {score:.3f}, {switches} id switches")  # noqa: T201 - the numbers in docs/lidar.md
    assert score > 0.8
    assert switches <= 6
