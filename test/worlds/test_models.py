"""The worlds' models: whole, upright, on the floor, of the size of real things, named rightly, and credited."""

import itertools
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import yaml

from robot_ai.models.card import ModelCard

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "worlds" / "models"
FURNITURE = yaml.safe_load((ROOT / "tools" / "furniture.yaml").read_text(encoding="utf-8"))
LABELS = ModelCard.load(ROOT / "models" / "nanodet_g", backends=()).labels
# The least and the largest extent of a thing of each class, in meters, in any direction.
SIZES = {
    "person": (1.4, 1.95),
    "chair": (0.7, 1.1),
    "couch": (1.4, 2.2),
    "dining table": (0.9, 1.8),
    "tv": (0.4, 1.2),
    "laptop": (0.25, 0.45),
    "bottle": (0.15, 0.35),
    "cup": (0.07, 0.16),
    "potted plant": (0.4, 1.2),
    "handbag": (0.15, 0.4),
    "suitcase": (0.5, 0.8),
    "sports ball": (0.2, 0.26),
    "dog": (0.4, 1.0),
    "cat": (0.25, 0.6),
    "bicycle": (1.4, 1.9),
    "motorcycle": (1.4, 2.2),
    "car": (2.4, 5.0),
    "fire hydrant": (0.6, 1.0),
    "bench": (1.0, 2.0),
}
WORLDS = ("room", "street")


def vertices(name: str) -> np.ndarray:
    lines = (MODELS / name / "meshes" / f"{name}.obj").read_text(encoding="utf-8").splitlines()
    return np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)


def world(name: str) -> ET.Element:
    found = ET.parse(ROOT / "worlds" / f"{name}.sdf").getroot().find("world")
    assert found is not None
    return found


def model_of(include: ET.Element) -> str:
    return include.findtext("uri", "").removeprefix("model://")


@pytest.mark.parametrize("name", FURNITURE)
class TestFurniture:
    def test_stands_on_the_floor_with_its_middle_at_the_origin(self, name):
        low, high = vertices(name).min(axis=0), vertices(name).max(axis=0)
        assert low[2] == pytest.approx(0, abs=1e-4)
        assert (low + high)[:2] == pytest.approx([0, 0], abs=2e-4)

    def test_is_as_large_as_a_real_one(self, name):
        label = FURNITURE[name]["label"]
        size = np.ptp(vertices(name), axis=0)
        if label != "none":
            least, largest = SIZES[label]
            assert least <= size.max() <= largest
        if label == "person" and name != "man_sitting":
            assert size.argmax() == 2  # upright

    def test_has_its_label_and_materials(self, name):
        folder = MODELS / name
        model = ET.parse(folder / "model.sdf").getroot().find("model")
        given = [int(label.text) for label in model.iter("label")]
        label = FURNITURE[name]["label"]
        assert given == ([] if label == "none" else [LABELS.index(label)])
        materials = (folder / "meshes" / f"{name}.mtl").read_text(encoding="utf-8")
        used = re.findall(r"^usemtl (\S+)$", (folder / "meshes" / f"{name}.obj").read_text("utf-8"), re.MULTILINE)
        assert set(used) == set(re.findall(r"^newmtl (\S+)$", materials, re.MULTILINE))
        for texture in re.findall(r"^map_Kd (\S+)$", materials, re.MULTILINE):
            assert (folder / "meshes" / texture).is_file()

    def test_is_credited(self, name):
        (row,) = re.findall(rf"^\| {name} \|.*$", (MODELS / "ATTRIBUTION.md").read_text("utf-8"), re.MULTILINE)
        _, _, original, creator, license_, _ = [part.strip() for part in row.split("|")]
        assert original.startswith(f"{FURNITURE[name]['catalog']}/{FURNITURE[name]['id']}:")
        assert creator
        assert license_ in ("CC-BY-3.0", "CC-BY-3.0-US", "CC0-1.0")


def test_people_keep_all_their_triangles():
    for name, wish in FURNITURE.items():
        if wish["label"] == "person":
            text = (MODELS / name / "meshes" / f"{name}.obj").read_text(encoding="utf-8")
            assert text.count("\nf ") > 5000, name


def test_the_models_stay_small():
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) <= 15e6


@pytest.mark.parametrize("name", WORLDS)
def test_all_that_is_included_is_there(name):
    for include in world(name).iter("include"):
        config = ET.parse(MODELS / model_of(include) / "model.config").getroot()
        assert (MODELS / model_of(include) / config.findtext("sdf", "")).is_file()
    for uri in (uri for file in MODELS.glob("*/model.sdf") for uri in ET.parse(file).getroot().iter("uri")):
        assert (MODELS / (uri.text or "").removeprefix("model://")).is_file()


def test_the_room_has_what_was_asked_for():
    names = [model_of(include) for include in world("room").findall("include")]
    labels = {FURNITURE[name]["label"] for name in names if name in FURNITURE}
    assert labels >= set(SIZES) - {"car", "motorcycle", "bench"}
    assert sum(FURNITURE.get(name, {}).get("label") == "person" for name in names) >= 3
    assert "robot" in names


@pytest.mark.parametrize("name", WORLDS)
def test_two_people_walk_between_waypoints(name):
    walking = [include for include in world(name).findall("include") if model_of(include).startswith("walking_")]
    assert len(walking) == 2
    for include in walking:
        plugin = include.find("plugin")
        assert plugin.get("filename") == "gz-sim-trajectory-follower-system"
        assert plugin.get("name") == "gz::sim::systems::TrajectoryFollower"
        points = [tuple(map(float, point.text.split())) for point in plugin.iter("waypoint")]
        assert len(points) >= 2
        assert all(math.dist(a, b) > 1.5 for a, b in itertools.pairwise(points))
        model = ET.parse(MODELS / model_of(include) / "model.sdf").getroot().find("model")
        assert plugin.findtext("link_name") in [link.get("name") for link in model.findall("link")]
        # The force must win over friction, or no one walks, and by little, or they run.
        mass, friction = float(model.findtext(".//mass")), float(model.findtext(".//mu"))
        surplus = float(plugin.findtext("force")) - friction * mass * 9.81
        assert 0 < surplus / mass < 0.2
