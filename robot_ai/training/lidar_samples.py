"""Simulated clouds with their boxes for training: made once, kept in a folder, varied each time they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.ground import GroundSettings, height_above_ground
from robot_ai.lidar.pillars import LAYERS, PillarGrid
from robot_ai.training.lidar_scenes import cast
from robot_ai.training.lidar_scoring import MIN_POINTS, Scores, judge, no_scores
from robot_ai.training.lidar_world import random_beams, training_scene

# Steps in which coordinates are kept, in meters: 16 bits reach 80 m.
_STEP = 0.0025
_EVALUATION_SEED = 2_000_003
# A box this near, in meters, to a thing too thinly seen to be asked for is not held against a detector.
_THIN_REACH = 2.0
GENERATION = 3
"""Grows when the scenes change, so that a folder of older ones is not taken for them."""


@dataclass(frozen=True)
class Sample:
    """points (N, 3) and above (N,) as for `pillars.encode`; boxes with a label; seen (M,): how many points show each
    box.
    """

    points: NDArray[np.float32]
    above: NDArray[np.float32]
    boxes: Detections3D
    seen: NDArray[np.int64]


class SampleFolder:
    """Samples by number; each follows from `seed` and its number. `folder` None keeps nothing."""

    def __init__(self, seed: int, reach: float, folder: Path | None = None) -> None:
        self._seed, self._reach = seed, reach
        self._folder = folder / f"lidar_{GENERATION}_{seed}_{reach:g}" if folder is not None else None
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def __getitem__(self, number: int) -> Sample:
        if self._folder is None:
            return self._make(number)
        file = self._folder / f"{number}.npz"
        if file.is_file():
            return _read(file)
        sample = self._make(number)
        unfinished = file.with_suffix(".part.npz")
        _write(unfinished, sample)
        unfinished.rename(file)
        return _read(file)

    def _make(self, number: int) -> Sample:
        rng = np.random.default_rng((self._seed, number))
        while True:
            sample = make_sample(rng, self._reach)
            if sample is not None:
                return sample


def judge_sample(sample: Sample, found: Detections3D, scores: Scores) -> None:
    """Adds what was found in a sample to the scores."""
    enough = sample.seen >= MIN_POINTS
    thin = sample.boxes.take(~enough).centers[:, :2]

    def excused(index: int) -> bool:
        return bool((np.linalg.norm(thin - found.centers[index, :2], axis=1) < _THIN_REACH).any())

    judge(sample.boxes, enough, found, scores, excused)


def evaluate_scenes(count: int, detect: Callable[[NDArray[np.float32]], Detections3D], reach: float = 40.0) -> Scores:
    """Judges a detector on the first `count` scenes of a seed that neither training nor its validation uses."""
    scenes, scores = SampleFolder(_EVALUATION_SEED, reach), no_scores()
    for number in range(count):
        judge_sample(scenes[number], detect(scenes[number].points), scores)
    return scores


def make_sample(rng: np.random.Generator, reach: float) -> Sample | None:
    """One turn of a random lidar in a random scene; None when it sees no ground."""
    scene = training_scene(rng)
    scan = cast(scene, random_beams(rng), rng)
    points = scan.measured
    above = height_above_ground(points, GroundSettings())
    if above is None:
        return None
    boxes = scene.truth
    labeled = [index for index, thing in enumerate(scene.things) if thing.label]
    counts = np.bincount(scan.things[scan.things >= 0], minlength=len(scene.things))[labeled]
    inside_reach = (np.abs(boxes.centers[:, :2]) < reach).all(axis=1)
    kept = np.flatnonzero(inside_reach & (counts > 0))
    # A corner of the square is farther than its edge; rotations bring in what lies there.
    inside = (np.hypot(points[:, 0], points[:, 1]) < reach * 1.42) & (above > LAYERS[0]) & (above < LAYERS[-1])
    return Sample(points[inside], above[inside], boxes.take(kept), counts[kept])


def vary(sample: Sample, rng: np.random.Generator) -> Sample:
    """The same cloud turned, mirrored, scaled a little, thinned, and with its ground a little off."""
    points, above, boxes = sample.points, sample.above, sample.boxes
    turn, mirror, scale = rng.uniform(-np.pi, np.pi), bool(rng.integers(2)), float(rng.uniform(0.95, 1.05))
    if rng.random() < 0.4:
        kept = rng.random(len(points)) < rng.uniform(0.4, 1.0)
        points, above = points[kept], above[kept]
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    yaws, centers = boxes.yaws, boxes.centers.copy()
    points = points * np.float32(scale)
    if mirror:
        matrix = matrix @ np.diag([1.0, -1.0])
        yaws = -yaws
    points[:, :2] = (points[:, :2] / np.float32(scale)) @ matrix.T.astype(np.float32)
    centers[:, :2] = centers[:, :2] @ matrix.T
    centers[:, 2] *= scale
    moved = Detections3D(
        centers.astype(np.float32),
        boxes.sizes * np.float32(scale),
        (yaws + turn).astype(np.float32),
        boxes.scores,
        boxes.class_indices,
    )
    off = np.float32(rng.normal(0, 0.03))
    return Sample(points, above * np.float32(scale) + off, moved, sample.seen)


def within(sample: Sample, grid: PillarGrid) -> Sample:
    """Without the boxes whose middle lies outside the grid."""
    inside = np.flatnonzero((np.abs(sample.boxes.centers[:, :2]) < grid.reach).all(axis=1))
    return Sample(sample.points, sample.above, sample.boxes.take(inside), sample.seen[inside])


def _write(file: Path, sample: Sample) -> None:
    boxes = np.column_stack([sample.boxes.centers, sample.boxes.sizes, sample.boxes.yaws])
    rounded = np.round(np.column_stack([sample.points, sample.above]) / _STEP)
    np.savez(
        file,
        points=np.clip(rounded, -32768, 32767).astype(np.int16),
        boxes=boxes.astype(np.float32),
        classes=sample.boxes.class_indices.astype(np.int8),
        seen=sample.seen.astype(np.int32),
    )


def _read(file: Path) -> Sample:
    with np.load(file) as arrays:
        points = arrays["points"].astype(np.float32) * np.float32(_STEP)
        rows, classes, seen = arrays["boxes"], arrays["classes"].astype(np.int64), arrays["seen"].astype(np.int64)
    ones = np.ones(len(rows), np.float32)
    boxes = Detections3D(rows[:, :3], rows[:, 3:6], rows[:, 6], ones, classes, LABELS)
    return Sample(np.ascontiguousarray(points[:, :3]), points[:, 3], boxes, seen)
