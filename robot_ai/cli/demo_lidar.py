"""`robot_ai demo-lidar`: a simulated scene, its boxes and how they compare with the truth; no data, no ROS."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from robot_ai.cli.show import add_method, load_method
from robot_ai.lidar.cluster_detector import ClusterSettings
from robot_ai.lidar.drawing import draw_top_view
from robot_ai.training.lidar_scenes import BEAMS, cast, random_scene

# A thing that a lidar hits less often is not asked for.
LEAST_HITS = 20
NEAR_ENOUGH = 1.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--beams", type=int, default=64, choices=sorted(BEAMS), help="rows of the lidar (64)")
    parser.add_argument("--seed", type=int, default=1, help="which scene (1)")
    add_method(parser)
    parser.add_argument("--output", type=Path, default=Path("out/demo_lidar"), help="folder for the picture")


def run(args: argparse.Namespace) -> int:
    """Writes the picture, prints what was found; 0 when every person and vehicle in sight was."""
    rng = np.random.default_rng(args.seed)
    scene = random_scene(rng)
    scan = cast(scene, BEAMS[args.beams], rng)
    detector = load_method(args)
    result = detector.detect(scan.measured, ClusterSettings())
    detector.close()
    found, truth = result.detections, scene.truth
    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / "top_view.png"
    cv2.imwrite(str(picture), draw_top_view(scan.measured, found))
    spent = sum(result.durations.values()) * 1e3
    print(f"{len(scan.measured)} points of {args.beams} beams, {spent:.0f} ms by {detector.title}\n")
    labeled = [index for index, thing in enumerate(scene.things) if thing.label]
    missed = 0
    for index, name, center in zip(labeled, truth.names, truth.centers, strict=True):
        hits = int((scan.things == index).sum())
        if hits < LEAST_HITS:
            continue
        gaps = np.linalg.norm(found.centers[:, :2] - center[:2], axis=1)
        nearest = int(np.argmin(gaps)) if len(gaps) else -1
        seen = nearest >= 0 and gaps[nearest] < NEAR_ENOUGH
        missed += not seen and name in ("person", "vehicle")
        said = f"{found.names[nearest]}, {gaps[nearest]:.2f} m beside" if seen else "missed"
        print(f"  {name:<10}{np.hypot(*center[:2]):>5.1f} m {hits:>6} points   {said}")
    print(f"\nTop view: {picture.resolve()}")
    return 0 if not missed else 1
