"""`robot_ai evaluate` on clouds: both methods beside each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from robot_ai.cli.main import main
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast
from robot_ai.training.lidar_shapes import vehicle


def test_simulated_scenes_by_a_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = tmp_path / "scores.json"
    assert main(["evaluate", "--scenes", "1", "--method", "cluster", "--json", str(scores)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| Class | | `cluster`: found | right of those said |"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["person"] * 2 + ["cyclist"] * 2 + ["vehicle"] * 2
    told = json.loads(scores.read_text(encoding="utf-8"))["cluster"]
    assert sum(band["asked"] for band in told.values()) > 0
    assert all(band["found"] <= band["asked"] and band["right"] <= band["said"] for band in told.values())


def test_a_labeled_scan_by_both_methods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    car = vehicle(rng)
    scene = Scene(Ground.level(1.7), (car,), ((8.0, 3.0, 0.3),))
    np.save(tmp_path / "car.npy", cast(scene, BEAMS[128], rng).points)
    x, y, _ = scene.truth.centers[0]
    length, width, _ = scene.truth.sizes[0]
    row = f"[vehicle, {x:.2f}, {y:.2f}, {length:.2f}, {width:.2f}, {np.degrees(0.3):.0f}]"
    labels = tmp_path / "labels.yaml"
    labels.write_text(f"frames: [{{scan: car.npy, reach: 20, boxes: [{row}]}}]", encoding="utf-8")
    assert main(["evaluate", "--labels", str(labels)]) == 0
    near = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| vehicle | 0"))
    assert near == "| vehicle | 0-20 m | 1.00 (1 of 1) | 1.00 (1 of 1) | 1.00 (1 of 1) | 1.00 (1 of 1) |"


def test_what_is_no_folder_of_kitti_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--kitti", str(tmp_path), "--method", "cluster"]) == 1
    assert "has no scans" in capsys.readouterr().err
