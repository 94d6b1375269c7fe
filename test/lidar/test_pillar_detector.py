"""The learned detector with the weights of the repository, on simulated scenes that were not trained on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import yaml

from robot_ai.backends.loading import BackendChoice
from robot_ai.lidar.cluster_detector import ClusterSettings
from robot_ai.lidar.detections import Detections3D
from robot_ai.lidar.errors import PillarModelError
from robot_ai.lidar.filters import Region
from robot_ai.lidar.pillar_detector import PillarDetector, check_card
from robot_ai.models.card import ModelCard
from robot_ai.models.errors import CardTaskError, CardValueError
from robot_ai.models.find import find_model
from robot_ai.pipeline.cloud_detector import check_cloud_model
from robot_ai.pipeline.image_detector import ImageDetector
from robot_ai.training.kitti import KittiDataSet, evaluate
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast
from robot_ai.training.lidar_shapes import Shape, Thing, person, vehicle

PLACES = ((7.0, 1.0, 0.4), (10.0, -6.0, 0.5), (-8.0, 3.0, 1.2))
LOW_BOX = Thing("obstacle", (Shape("box", (0, 0, 0.3), (0.5, 0.4, 0.3)),))


@pytest.fixture(scope="module")
def detector() -> Iterator[PillarDetector]:
    loaded = PillarDetector.load(BackendChoice("pillarnet", "pytorch", "cpu", threads=1))
    yield loaded
    loaded.close()


RNG = np.random.default_rng(2)
SCENE = Scene(Ground.level(1.8), (person(RNG), vehicle(RNG), LOW_BOX), PLACES)


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    return cast(SCENE, BEAMS[64], np.random.default_rng(3)).measured


def near(found: Detections3D, place: tuple[float, float, float], reach: float = 1.5) -> list[str]:
    gaps = np.linalg.norm(found.centers[:, :2] - np.array(place[:2]), axis=1)
    return found.take(gaps < reach).names


def test_people_vehicles_and_other_things(detector: PillarDetector, street: np.ndarray) -> None:
    result = detector.detect(street, ClusterSettings())
    assert [near(result.detections, place) for place in PLACES] == [["person"], ["vehicle"], ["obstacle"]]
    (car,) = result.detections.take(result.detections.class_indices == 2).arrays[0]
    np.testing.assert_allclose(car, SCENE.truth.centers[1], atol=0.5)
    assert set(result.durations) == {"crop", "ground", "encode", "forward", "decode", "obstacles"}
    again = detector.detect(street, ClusterSettings())
    np.testing.assert_array_equal(again.detections.centers, result.detections.centers)


def test_settings_hold_as_for_clusters(detector: PillarDetector, street: np.ndarray) -> None:
    only = detector.detect(street, ClusterSettings(classes=("vehicle",))).detections
    assert set(only.names) == {"vehicle"}
    blind = detector.detect(street, ClusterSettings(robot=Region(x=(5, 15), y=(-10, 3)))).detections
    assert near(blind, PLACES[0]) == near(blind, PLACES[1]) == []
    assert near(detector.detect(street, ClusterSettings(max_range=9.0)).detections, PLACES[1]) == []
    sure = detector.detect(street, ClusterSettings(score=0.99)).detections
    assert "obstacle" not in sure.names
    nothing = detector.detect(np.empty((0, 3), np.float32), ClusterSettings()).detections
    assert len(nothing) == 0


def test_a_sensor_away_from_the_origin(detector: PillarDetector, street: np.ndarray) -> None:
    origin = np.array([100.0, -50.0, 3.0])
    moved = (street + origin).astype(np.float32)
    here, there = (
        detector.detect(points, ClusterSettings(), shift).detections
        for points, shift in ((street, None), (moved, origin))
    )
    assert here.names == there.names
    np.testing.assert_allclose(there.centers - origin, here.centers, atol=0.02)


def test_what_stands_in_real_frames_is_noticed(detector: PillarDetector, shared_data: Path) -> None:
    """Three frames prove little: docs/lidar.md has the numbers."""
    score = evaluate(
        KittiDataSet(shared_data / "data" / "kitti3"),
        lambda points: detector.detect(points, ClusterSettings()).detections,
    )
    assert score.bands["person", (0.0, 20.0)].found == score.bands["person", (0.0, 20.0)].asked == 1
    assert score.noticed >= 2
    assert score.objects == 3


def edited(folder: Path, **changes: Any) -> ModelCard:
    card = folder / "card"
    shutil.copytree(find_model("pillarnet"), card, dirs_exist_ok=True)
    content = yaml.safe_load((card / "model.yaml").read_text(encoding="utf-8"))
    content.update(changes)
    (card / "model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return ModelCard.load(card, backends=())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decoder": {"type": "yolo"}}, "center_heads"),
        ({"decoder": {"type": "center_heads", "stride": 0}}, "stride"),
        ({"decoder": {"type": "center_heads", "stride": 4}}, "outputs"),
        ({"labels": ["person", "dog", "vehicle"]}, "'dog'"),
        ({"labels": ["person", "vehicle"]}, "outputs"),
    ],
)
def test_a_card_that_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(PillarModelError, match=reason):
        check_card(edited(tmp_path, **changes))


def test_models_are_not_taken_for_those_of_another_sensor(tmp_path: Path) -> None:
    with pytest.raises(CardTaskError, match="images"):
        check_cloud_model(BackendChoice("nanodet_g"))
    with pytest.raises(CardTaskError, match="lidar clouds"):
        ImageDetector.load(BackendChoice("pillarnet", threads=1))
    check_cloud_model(BackendChoice("", "cluster"))
    with pytest.raises(CardValueError, match=r"inputs\[0\]"):
        edited(
            tmp_path,
            inputs=[{"name": "x", "side": -1, "cell": 0.25, "channels": 15, "layout": "NCHW", "dtype": "float32"}],
        )
    narrow = edited(tmp_path / "other")
    with pytest.raises(PillarModelError, match="channels"):
        check_card(replace(narrow, inputs=(replace(narrow.inputs[0], channels=14),)))  # type: ignore[call-arg]
