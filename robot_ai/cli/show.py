"""`robot_ai show`: a cloud from a file with the boxes that are found in it, as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2

from robot_ai.backends.loading import BackendChoice
from robot_ai.lidar.cluster_detector import ClusterSettings
from robot_ai.lidar.drawing import draw_projected, draw_top_view
from robot_ai.lidar.files import read_points
from robot_ai.pipeline.cloud_detector import AUTO, CLUSTER, METHODS, CloudModel, load_cloud_model
from robot_ai.training.kitti import KittiDataSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("file", type=Path, help="a cloud: .pcd, .bin (KITTI), .osf (Ouster) or .npy")
    parser.add_argument("--scan", type=int, default=0, help="which scan of a recording (0)")
    parser.add_argument("--output", type=Path, default=Path("out/show"), help="folder for the pictures (out/show)")
    parser.add_argument("--reach", type=float, default=40.0, help="meters shown around the sensor (40)")
    add_method(parser)
    parser.add_argument("--score", type=float, help="lowest score shown (the method's own)")
    parser.add_argument(
        "--kitti", action="store_true", help="draw into the camera's image too: FILE lies in KITTI's velodyne/ folder"
    )


def add_method(parser: argparse.ArgumentParser) -> None:
    """Adds the choice of a method, which `load_method` reads."""
    parser.add_argument("--method", choices=METHODS, default=CLUSTER, help="cluster, or the learned one (cluster)")
    parser.add_argument("--model", default="pillarnet", help="of method pillars: a name in models/ or a directory")
    parser.add_argument(
        "--backend", default=AUTO, help="of method pillars: what runs the model (the quickest that is installed)"
    )


def load_method(args: argparse.Namespace) -> CloudModel:
    """The method that was chosen. Raises as `load_cloud_model`."""
    return load_cloud_model(BackendChoice(args.model, CLUSTER if args.method == CLUSTER else args.backend))


def run(args: argparse.Namespace) -> int:
    """Writes FILE_top.png and, for KITTI's data, FILE_image.png."""
    points = read_points(args.file, args.scan)
    detector = load_method(args)
    result = detector.detect(points, ClusterSettings(score=args.score))
    detector.close()
    found = result.detections
    args.output.mkdir(parents=True, exist_ok=True)
    top = args.output / f"{args.file.stem}_top.png"
    cv2.imwrite(str(top), draw_top_view(points, found, args.reach))
    spent = sum(result.durations.values()) * 1e3
    print(f"{len(points)} points, {len(found)} boxes in {spent:.0f} ms")
    for label in found.labels:
        print(f"  {label:<10}{found.names.count(label):>4}")
    print(f"wrote {top}")
    if args.kitti:
        frame = KittiDataSet(args.file.resolve().parent.parent).named(args.file.stem)
        image = args.output / f"{args.file.stem}_image.png"
        picture: Any = cv2.imread(str(frame.image))
        drawn = draw_projected(picture, found, frame.camera, frame.lidar_to_camera)
        cv2.imwrite(str(image), drawn)
        print(f"wrote {image}")
    return 0
