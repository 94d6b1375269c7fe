"""`robot_ai evaluate --kitti, --labels or --scenes`: the lidar detector's methods beside each other."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.loading import BackendChoice
from robot_ai.evaluation.report import Table, as_plain
from robot_ai.lidar.cluster_detector import ClusterSettings
from robot_ai.lidar.detections import Detections3D
from robot_ai.pipeline.cloud_detector import AUTO, CLUSTER, METHODS, load_cloud_model
from robot_ai.training import kitti, lidar_labels
from robot_ai.training.lidar_samples import evaluate_scenes
from robot_ai.training.lidar_scoring import BandScore, Scores

Detect = Callable[[NDArray[np.float32]], Detections3D]

_MODEL = "pillarnet"


def add_sources(source: Any) -> None:
    """Adds to the group of what is evaluated on."""
    source.add_argument("--kitti", type=Path, help="lidar: a folder with velodyne/, label_2/, calib/ and image_2/")
    source.add_argument("--labels", type=Path, help="lidar: a YAML file of labels drawn over scans (--scans)")
    source.add_argument("--scenes", type=int, help="lidar: so many simulated scenes that no training has seen")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the lidar's sources understand beside the common arguments."""
    parser.add_argument("--scans", type=Path, help="--labels: the folder of the scans (the labels' own)")
    parser.add_argument(
        "--method", nargs="+", choices=METHODS, default=list(METHODS), help="lidar: methods to compare (both)"
    )
    parser.add_argument("--score", type=float, help="lidar: lowest score that counts (each method's own)")


def is_asked(args: argparse.Namespace) -> bool:
    """Whether one of the lidar's sources was given."""
    return bool(args.kitti or args.labels or args.scenes)


def run(args: argparse.Namespace) -> int:
    """Prints a table of recall and precision by class and distance, a pair of columns per method."""
    scores = {method: _evaluate(args, method) for method in args.method}
    print("\n".join(as_markdown(scores)))
    if args.json:
        args.json.write_text(
            json.dumps({name: as_plain(_table(each)) for name, each in scores.items()}, indent=2), "utf-8"
        )
    return 0


def _evaluate(args: argparse.Namespace, method: str) -> Scores:
    backend = CLUSTER if method == CLUSTER else (args.backend or [AUTO])[0]
    detector = load_cloud_model(BackendChoice(args.model or _MODEL, backend, args.device, args.precision, args.threads))
    settings = ClusterSettings(score=args.score)

    def detect(points: NDArray[np.float32]) -> Detections3D:
        return detector.detect(points, settings).detections

    try:
        if args.kitti:
            return kitti.evaluate(kitti.KittiDataSet(args.kitti), detect).bands
        if args.labels:
            labels = lidar_labels.LabelFile(args.labels, args.scans or args.labels.parent)
            return lidar_labels.evaluate(labels, detect)
        return evaluate_scenes(args.scenes, detect)
    finally:
        detector.close()


def as_markdown(scores: dict[str, Scores]) -> list[str]:
    """The lines of a table: found of asked, right of said."""
    head = "".join(f" `{method}`: found | right of those said |" for method in scores)
    lines = [f"| Class | |{head}", f"|---|---|{'---|---|' * len(scores)}"]
    for label, band in next(iter(scores.values())):
        cells = "".join(
            f" {_recall(each[label, band])} | {_precision(each[label, band])} |" for each in scores.values()
        )
        lines.append(f"| {label} | {band[0]:.0f}-{band[1]:.0f} m |{cells}")
    return lines


def _recall(score: BandScore) -> str:
    return f"{score.recall:.2f} ({score.found} of {score.asked})" if score.asked else "-"


def _precision(score: BandScore) -> str:
    return f"{score.precision:.2f} ({score.right} of {score.said})" if score.said else "-"


def _table(scores: Scores) -> Table:
    return {
        f"{label} {low:.0f}-{high:.0f} m": {
            "found": score.found,
            "asked": score.asked,
            "right": score.right,
            "said": score.said,
            "recall": score.recall,
            "precision": score.precision,
        }
        for (label, (low, high)), score in scores.items()
    }
