"""`robot_ai evaluate`: a model's average precision and speed on a COCO data set."""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.loading import BackendChoice
from robot_ai.perception.detections import Detections
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector
from robot_ai.training.coco import CocoDataSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--coco", type=Path, required=True, help="folder with images/ and instances.json")
    parser.add_argument("--model", default="nanodet_g", help="model card: a name in models/ or a directory")
    parser.add_argument("--backend", default="pytorch", help="a backend, or backend/variant such as litert/int8")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--precision", default="auto", help="auto, float32, float16, bfloat16 or int8")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 is the framework's default")
    parser.add_argument("--score-floor", type=float, default=0.05, help="lowest score that counts (0.05)")


def run(args: argparse.Namespace) -> int:
    """Prints AP, AP50 and the mean time of each stage."""
    data = CocoDataSet(args.coco)
    detector = ImageDetector.load(BackendChoice(args.model, args.backend, args.device, args.precision, args.threads))
    settings = DetectionSettings(confidence=args.score_floor)
    times: defaultdict[str, list[float]] = defaultdict(list)

    def detect(image: NDArray[np.uint8]) -> Detections:
        result = detector.detect([image], settings)
        for stage, seconds in result.durations.items():
            times[stage].append(seconds)
        return result.detections[0]

    precision = data.evaluate(detect)
    print(f"{detector.card.name} {detector.card.version} in {args.backend} on {detector.device}")
    print(f"AP {precision.ap:.3f}  AP50 {precision.ap50:.3f}  over {precision.images} images")
    print("  ".join(f"{stage} {np.mean(seconds) * 1e3:.2f} ms" for stage, seconds in times.items()))
    detector.close()
    return 0
