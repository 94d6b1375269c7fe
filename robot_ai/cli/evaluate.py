"""`robot_ai evaluate`: how good detections are: on data sets, on a recording, or on a robot that runs now."""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.loading import BackendChoice
from robot_ai.cli import evaluate_lidar
from robot_ai.errors import RobotAIError
from robot_ai.evaluation.report import as_plain, as_text, table_2d, table_3d
from robot_ai.evaluation.scorer_2d import Scorer2D, Settings2D
from robot_ai.perception.detections import Detections
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector
from robot_ai.training.coco import CocoDataSet

_MODEL = "nanodet_g"
TRUTH_2D, TRUTH_3D = "ground_truth/detections_2d", "ground_truth/detections_3d"


class EvaluationError(RobotAIError):
    """There is nothing to compare."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--coco", type=Path, help="folder with images/ and instances.json")
    source.add_argument("--bag", type=Path, help="a recording (robot_ai record) with ground truth in it")
    source.add_argument("--live", action="store_true", help="the topics of a robot or simulator that runs now")
    evaluate_lidar.add_sources(source)
    parser.add_argument("--model", help="model card: a name in models/ or a directory (nanodet_g; lidar: pillarnet)")
    parser.add_argument(
        "--backend", nargs="+", default=[], help="backends, or backend/variant such as litert/int8 (--coco: pytorch; "
        "--bag: the detections that were recorded; lidar: one, the quickest that is installed)"
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--precision", default="auto", help="auto, float32, float16, bfloat16 or int8")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 is the framework's default")
    parser.add_argument("--score-floor", type=float, default=0.05, help="lowest score that counts for AP (0.05)")
    parser.add_argument("--image", default="camera/image_raw", help="--bag: the images (camera/image_raw)")
    parser.add_argument("--detections", default="camera/detections", help="2D detections (camera/detections)")
    parser.add_argument("--fused", default="detections_fused", help="3D detections (detections_fused)")
    parser.add_argument("--base-frame", default="base_link", help="the robot's frame, for distances (base_link)")
    parser.add_argument("--duration", type=float, default=30.0, help="--live: seconds (30)")
    parser.add_argument("--json", type=Path, help="write the scores into this file, too")
    evaluate_lidar.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the scores; 0 when there were any."""
    if evaluate_lidar.is_asked(args):
        return evaluate_lidar.run(args)
    if args.coco:
        return _on_coco(args)
    if args.live:
        return _report(_live(args), args.json)
    if not args.backend:
        return _report(_recorded(args), args.json)
    scores: dict[str, Any] = {}
    for backend in args.backend:
        scores |= _detect_in_bag(args, backend)
    return _report(scores, args.json)


def _load(args: argparse.Namespace, backend: str) -> ImageDetector:
    return ImageDetector.load(BackendChoice(args.model or _MODEL, backend, args.device, args.precision, args.threads))


def _on_coco(args: argparse.Namespace) -> int:
    """AP, AP50 and the mean time of each stage, for each backend."""
    data = CocoDataSet(args.coco)
    settings = DetectionSettings(confidence=args.score_floor)
    scores = {}
    for backend in args.backend or ["pytorch"]:
        detector = _load(args, backend)
        times: defaultdict[str, list[float]] = defaultdict(list)

        def detect(image: NDArray[np.uint8], detector: ImageDetector = detector, times: Any = times) -> Detections:
            result = detector.detect([image], settings)
            for stage, seconds in result.durations.items():
                times[stage].append(seconds)
            return result.detections[0]

        precision = data.evaluate(detect)
        print(f"{detector.card.name} {detector.card.version} in {backend} on {detector.device}")
        print(f"AP {precision.ap:.3f}  AP50 {precision.ap50:.3f}  over {precision.images} images")
        print("  ".join(f"{stage} {np.mean(seconds) * 1e3:.2f} ms" for stage, seconds in times.items()))
        scores[backend] = {"AP": precision.ap, "AP50": precision.ap50, "images": precision.images}
        detector.close()
    if args.json:
        args.json.write_text(json.dumps(scores, indent=2), encoding="utf-8")
    return 0


def _report(scores: dict[str, Any], file: Path | None) -> int:
    """Prints and writes scores by name. Raises EvaluationError when nothing could be compared."""
    scores = {name: scorer for name, scorer in scores.items() if scorer.frames}
    if not scores:
        raise EvaluationError(
            f"nothing to compare: no detections have the stamp of a message on {TRUTH_2D} or {TRUTH_3D}. Does the "
            "simulator run, or is its truth in the recording?"
        )
    plain = {}
    for name, scorer in scores.items():
        table = table_2d(scorer) if isinstance(scorer, Scorer2D) else table_3d(scorer)
        print(f"\n{name}: {scorer.frames} frames, {scorer.identities.switches} id switches\n{as_text(table)}")
        plain[name] = {
            "frames": scorer.frames, "id switches": scorer.identities.switches, "classes": as_plain(table),
        }  # fmt: skip
    if file:
        file.write_text(json.dumps(plain, indent=2), encoding="utf-8")
    return 0


def _detect_in_bag(args: argparse.Namespace, backend: str) -> dict[str, Any]:
    """Runs a backend over the recorded images, without ROS between: each recording gives one result."""
    from robot_ai.bags.files import BagReader
    from robot_ai.perception.encodings import MAX_PIXELS
    from robot_ai.ros.images import image_to_bgr
    from robot_ai.ros.stamps import stamp_of
    from robot_ai.ros.truth import truth_from_2d

    image_topic, truth_topic = _rooted(args.image), _rooted(TRUTH_2D)
    detector = _load(args, backend)
    try:
        floor = min(args.score_floor, detector.card.thresholds.confidence)
        scorer = Scorer2D(Settings2D(score=detector.card.thresholds.confidence))
        settings = DetectionSettings(confidence=floor)
        with BagReader(args.bag) as bag:
            truths = {stamp_of(message): truth_from_2d(message) for _, message in _messages(bag, [truth_topic])}
            for _, message in _messages(bag, [image_topic]):
                truth = truths.get(stamp_of(message))
                if truth is None:
                    continue
                found = detector.detect([image_to_bgr(message, MAX_PIXELS)], settings).detections[0]
                scorer.add(found, truth, stamp_of(message))
    finally:
        detector.close()
    return {f"{detector.card.name} in {backend}": scorer}


def _messages(bag: Any, topics: list[str]) -> Any:
    """Topic and message of a recording, in order."""
    from rclpy.serialization import deserialize_message

    from robot_ai.ros.bag_topics import message_class

    for recorded in bag.messages(topics):
        yield recorded.topic.name, deserialize_message(recorded.cdr, message_class(recorded.topic.type_name))


def _rooted(topic: str) -> str:
    return "/" + topic.lstrip("/")


def _recorded(args: argparse.Namespace) -> dict[str, Any]:
    """The detections that are in the recording."""
    from robot_ai.bags.files import BagReader
    from robot_ai.geometry.transform_buffer import TransformBuffer
    from robot_ai.ros.scoring import StampedScores
    from robot_ai.ros.transforms import add_transforms

    buffer = TransformBuffer()
    scores = StampedScores(lambda message: buffer.lookup(args.base_frame, message.header.frame_id.lstrip("/")))
    handlers: dict[str, Callable[[Any], object]] = {
        _rooted(args.detections): lambda m: scores.seen("found", m),
        _rooted(TRUTH_2D): lambda m: scores.seen("truth", m),
        _rooted(args.fused): lambda m: scores.placed("found", m),
        _rooted(TRUTH_3D): lambda m: scores.placed("truth", m),
    }
    with BagReader(args.bag) as bag:
        for _, message in _messages(bag, ["/tf_static"]):
            add_transforms(buffer, message, static=True)
        for topic, message in _messages(bag, list(handlers)):
            handlers[topic](message)
    return {"camera, as recorded": scores.image, "fused, as recorded": scores.space}


def _live(args: argparse.Namespace) -> dict[str, Any]:
    """What comes within the duration, each backend by itself."""
    import rclpy
    from rclpy.node import Node
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rclpy.signals import SignalHandlerOptions
    from vision_msgs.msg import Detection2DArray, Detection3DArray, VisionInfo

    from robot_ai.ros.scoring import StampedScores
    from robot_ai.ros.transforms import open_transforms

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node("evaluate")
    transforms = open_transforms(node)
    scores = StampedScores(lambda m: transforms.lookup(args.base_frame, m.header.frame_id.lstrip("/"), 0, 0.0))

    def placed(kind: str, message: Any) -> None:
        try:
            scores.placed(kind, message)
        except RobotAIError as error:
            node.get_logger().warning(f"not scored: {error}", throttle_duration_sec=5.0)

    many = QoSProfile(depth=50)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    information = f"{args.detections.rpartition('/')[0]}/vision_info".lstrip("/")
    try:
        node.create_subscription(Detection2DArray, args.detections, lambda m: scores.seen("found", m), many)
        node.create_subscription(Detection2DArray, TRUTH_2D, lambda m: scores.seen("truth", m), many)
        node.create_subscription(Detection3DArray, args.fused, lambda m: placed("found", m), many)
        node.create_subscription(Detection3DArray, TRUTH_3D, lambda m: placed("truth", m), many)
        node.create_subscription(VisionInfo, information, lambda m: scores.use(m.method), latched)
        deadline = time.monotonic() + args.duration
        while time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.05)
    finally:
        transforms.destroy()
        node.destroy_node()
        rclpy.try_shutdown()
    return {f"camera {name}".strip(): scorer for name, scorer in scores.by_detector.items()} | {"fused": scores.space}
