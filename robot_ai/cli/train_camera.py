"""`robot_ai train camera`: fine-tunes the camera detector on views of a simulated world, and shows what it gained."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from robot_ai.backends.loading import BackendChoice
from robot_ai.cli.signals import sigterm_as_interrupt, stopping_on_signals
from robot_ai.cli.training_runs import INTERRUPTED, MissingFrameworkError, open_logs, say
from robot_ai.errors import pip_install
from robot_ai.model_tool.photos import calibration_images, load_photos
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

REPORT = "report.json"
_VIEWS, _HELD_OUT = "views", "held_out"
_SCORE_FLOOR = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("--output", type=Path, default=Path("out/train_camera"), help="views, features, weights, logs")
    parser.add_argument("--model", default="nanodet_g", help="what is fine-tuned: a card of NanoDet-g (nanodet_g)")
    parser.add_argument("--name", default="nanodet_g_room", help="name of the model that is written below OUTPUT")
    parser.add_argument("--world", default="room", help="the world of the views (room)")
    parser.add_argument("--views", type=int, default=200, help="views to train on (200)")
    parser.add_argument("--held-out", type=int, default=50, help="views from elsewhere in the world to judge by (50)")
    parser.add_argument("--renderer", default="auto", help="auto, egl, osmesa or rays")
    parser.add_argument("--photos", type=Path, help="folder of photos on which the model stays as it is (samples)")
    parser.add_argument("--photo-views", type=int, default=80, help="most parts of photos to take (80)")
    parser.add_argument("--resume", action="store_true", help="go on from OUTPUT's checkpoint")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; more lose time on a busy machine (1)")
    parser.add_argument("--steps", type=int, default=400, help="steps of one batch each (400)")
    parser.add_argument("--batch", type=int, default=6, help="views per step (6)")
    parser.add_argument("--photos-batch", type=int, default=3, help="photos per step (3)")
    parser.add_argument("--rate", type=float, default=5e-4, help="highest learning rate (0.0005)")
    parser.add_argument("--distill", type=float, default=1.0, help="weight of staying with the original (1)")
    parser.add_argument(
        "--blend", type=float, default=0.7, help="how far the weights go from the original to the reached ones (0.7)"
    )
    parser.add_argument("--seed", type=int, default=1, help="everything follows from it (1)")


def run(args: argparse.Namespace) -> int:
    """Makes views, trains until the last step, Ctrl-C or SIGTERM, writes the model, judges it beside the original."""
    try:
        import torch
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingFrameworkError(f"training needs {error.name}; install it with: {pip_install('train')}") from error
    torch.set_num_threads(args.threads)
    try:
        with sigterm_as_interrupt():
            training = _prepare(args, tqdm)
    except KeyboardInterrupt:
        say("interrupted before the training; the same command begins what is unfinished anew and goes on")
        return INTERRUPTED
    if args.resume:
        training.resume()
    logs = args.output / "logs"
    say(f"{training.describe()}; from step {training.step}; TensorBoard: tensorboard --logdir {logs}")
    _train(training, args.steps, logs, tqdm)
    model = args.output / args.name
    training.write_model(model, _command(args))
    say(f"step {training.step}: the model is in {model}")
    if training.step < args.steps:
        say("interrupted; the same command with --resume goes on from here")
        return INTERRUPTED
    _compare(str(args.model), str(model.resolve()), args.output / _HELD_OUT, args.output / REPORT)
    return 0


def _prepare(args: argparse.Namespace, bars: Any) -> Any:
    """The views, unless they are there already, and a training of them at its beginning."""
    from robot_ai.training.camera_training import CameraSettings, CameraTraining
    from robot_ai.training.camera_views import ViewSettings

    base = ModelCard.load(find_model(args.model))
    for folder, settings in (
        (_VIEWS, ViewSettings(args.world, args.views, args.seed, renderer=args.renderer)),
        (_HELD_OUT, ViewSettings(args.world, args.held_out, args.seed, held_out=True, renderer=args.renderer)),
    ):
        with bars(total=settings.count, desc=folder, unit="view") as bar:
            _make_apart(settings, base.labels, args.output / folder, bar)
    photos = list(calibration_images(load_photos(args.photos), args.photo_views))
    given = CameraSettings(**{f.name: getattr(args, f.name) for f in fields(CameraSettings)})
    with bars(total=args.views + len(photos), desc="features", unit="image") as bar:
        return CameraTraining(given, base, args.output / _VIEWS, photos, args.output, say=lambda _: bar.update())


def _make_apart(settings: Any, labels: tuple[str, ...], folder: Path, bar: Any) -> None:
    """Makes views in a process of their own: Mesa's LLVM and TensorFlow's, which TensorBoard loads, crash together."""
    from robot_ai.training.camera_views import make_views

    ours_alone = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), signal.signal, ours_alone) as pool:
        made = pool.submit(make_views, settings, labels, folder)
        try:
            while not wait([made], timeout=0.5).done:
                bar.update(len(list((folder / "images").glob("*.jpg"))) - bar.n)
        except KeyboardInterrupt:
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        made.result()
    bar.update(settings.count - bar.n)


def _train(training: Any, steps: int, logs: Path, bars: Any) -> None:
    log, close = open_logs(logs)
    try:
        with (
            stopping_on_signals() as stopping,
            bars(total=steps, initial=training.step, desc="training", unit="step") as bar,
        ):

            def tell(step: int, parts: dict[str, float]) -> None:
                bar.update()
                bar.set_postfix(loss=f"{parts['total']:.3f}")
                for name, value in parts.items():
                    log(f"loss/{name}", value, step)

            training.run(tell, stopping)
    finally:
        close()


def _compare(original: str, tuned: str, views: Path, report: Path) -> None:
    """Prints AP of both models on held-out views, by class, and the recall of each thing; keeps it as JSON, too."""
    before, after = (_judge(model, views) for model in (original, tuned))
    report.write_text(json.dumps({"before": asdict(before), "after": asdict(after)}, indent=2), encoding="utf-8")
    say(f"held-out views: AP {before.ap:.3f} -> {after.ap:.3f}, AP50 {before.ap50:.3f} -> {after.ap50:.3f}")
    for name, value in before.classes.items():
        print(f"  AP {name:16} {value:.3f} -> {after.classes[name]:.3f}")
    for name, (found, count) in before.things.items():
        print(f"  found {name:16} {found:3} -> {after.things[name][0]:3} of {count}")


def _judge(model: str, views: Path) -> Any:
    from robot_ai.training.camera_scoring import score

    detector = ImageDetector.load(BackendChoice(model))
    every = DetectionSettings(confidence=_SCORE_FLOOR)
    detect: Callable[[Any], Any] = lambda image: detector.detect([image], every).detections[0]  # noqa: E731
    try:
        return score(views, detect, detector.card.labels, detector.card.thresholds.confidence)
    finally:
        detector.close()


def _command(args: argparse.Namespace) -> str:
    """The command that a run began with, as far as it decides the weights."""
    names = ("world", "views", "photo_views", "steps", "batch", "photos_batch", "rate", "distill", "blend", "seed")
    return "robot_ai train camera " + " ".join(f"--{name.replace('_', '-')} {getattr(args, name)}" for name in names)
