"""Clouds for golden samples, calibration and verification: a folder of the user's, or simulated ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from robot_ai.lidar.cluster_detector import ClusterSettings, crop, ground_of
from robot_ai.lidar.files import READERS, read_points
from robot_ai.lidar.filters import Points
from robot_ai.lidar.pillars import PillarGrid, Pillars, encode
from robot_ai.model_tool.export.errors import CloudsError
from robot_ai.training.lidar_scenes import BEAMS, cast, random_scene
from robot_ai.training.lidar_world import random_beams, training_scene

SIMULATED = 6
# Scenes of their own: those of training and of its validation have two numbers.
_SEED = 20_261_125
# Turned by this from view to view, in radians, no two views of a cloud come to lie alike: the golden angle.
_TURN = np.pi * (3 - np.sqrt(5))


def load_clouds(folder: Path | None) -> list[tuple[str, Points]]:
    """Names and points (N, 3) of a folder's clouds, or of simulated streets, yards and halls.

    Raises CloudsError, or CloudFileError for a file that cannot be read.
    """
    if folder is None:
        return [(f"simulated scene {number}", _simulated(number)) for number in range(SIMULATED)]
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in READERS)
    if not files:
        raise CloudsError(f"{folder} holds no cloud; expected files ending {', '.join(READERS)}")
    return [(file.name, read_points(file)) for file in files]


def _simulated(number: int) -> Points:
    rng = np.random.default_rng((_SEED, number))
    return cast(training_scene(rng), random_beams(rng), rng).measured


def sample_cloud() -> Points:
    """A simulated cloud of a lidar of 64 rows, as `make bench` has it."""
    rng = np.random.default_rng(_SEED)
    return cast(random_scene(rng), BEAMS[64], rng).measured


def encoded(points: Points, grid: PillarGrid) -> Pillars:
    """A cloud as a network is given it, at the detector's own settings."""
    settings = ClusterSettings()
    near = crop(points, settings, None)
    return encode(near, ground_of(near, settings), grid)


def cloud_views(clouds: list[tuple[str, Points]], count: int, grid: PillarGrid) -> Iterator[Pillars]:
    """`count` views of the clouds: as they are first, then turned about the sensor."""
    for view in range(count):
        turn, place = divmod(view, len(clouds))
        cos, sin = np.cos(turn * _TURN), np.sin(turn * _TURN)
        points = clouds[place][1].copy()
        points[:, :2] = points[:, :2] @ np.array([[cos, sin], [-sin, cos]], np.float32)
        yield encoded(points, grid)
