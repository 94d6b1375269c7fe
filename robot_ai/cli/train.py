"""`robot_ai train`: trains the models that are our own."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from robot_ai.cli import train_camera
from robot_ai.cli.signals import stopping_on_signals
from robot_ai.cli.training_runs import INTERRUPTED, MissingFrameworkError, open_logs, say
from robot_ai.errors import pip_install

MODEL = "model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    lidar = what.add_parser("lidar", help="the lidar detector of method 'pillars', on simulated clouds, on the CPU")
    lidar.add_argument("--output", type=Path, default=Path("out/train_lidar"), help="checkpoints, weights, curve, logs")
    lidar.add_argument("--scenes-folder", type=Path, help="where simulated clouds are kept (OUTPUT/scenes)")
    lidar.add_argument("--resume", action="store_true", help="go on from OUTPUT's checkpoint")
    lidar.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    lidar.add_argument("--steps", type=int, default=6000, help="steps of one batch each (6000)")
    lidar.add_argument("--batch", type=int, default=4, help="clouds per step (4)")
    lidar.add_argument(
        "--scenes", type=int, default=1500, help="simulated clouds; each is varied anew every time (1500)"
    )
    lidar.add_argument("--validation-scenes", type=int, default=24, help="simulated clouds to judge by (24)")
    lidar.add_argument("--validate-every", type=int, default=250, help="steps between two judgments (250)")
    lidar.add_argument(
        "--window", type=int, default=160, help="side, in pillars, of the part of a cloud trained on; at most 320 (160)"
    )
    lidar.add_argument("--rate", type=float, default=2e-3, help="highest learning rate (0.002)")
    lidar.add_argument("--seed", type=int, default=1, help="everything follows from it (1)")
    lidar.add_argument("--full", dest="half", action="store_false", help="compute in float32 throughout, not bfloat16")
    train_camera.add_arguments(
        what.add_parser("camera", help="the camera detector's head, on views of a simulated world")
    )


def run(args: argparse.Namespace) -> int:
    """Trains until the last step, Ctrl-C or SIGTERM; what was reached is saved in any case."""
    return train_camera.run(args) if args.what == "camera" else _train_lidar(args)


def _train_lidar(args: argparse.Namespace) -> int:
    try:
        import torch

        from robot_ai.training.lidar_training import CURVE, Training, TrainingSettings, describe
    except ModuleNotFoundError as error:
        raise MissingFrameworkError(f"training needs {error.name}; install it with: {pip_install('train')}") from error
    torch.set_num_threads(args.threads)
    given = {f.name: getattr(args, f.name) for f in fields(TrainingSettings) if hasattr(args, f.name)}
    settings = TrainingSettings(**given)
    log, close = open_logs(args.output / "logs")
    scenes = args.scenes_folder or args.output / "scenes"
    training = Training(settings, args.output, scenes, say, log, command=_command(args))
    if args.resume:
        training.resume()
    say(f"{describe(settings)}; from step {training.step}; TensorBoard: tensorboard --logdir {args.output / 'logs'}")
    try:
        with stopping_on_signals() as stopping:
            training.run(stopping)
    finally:
        close()
    model = args.output / MODEL
    training.write_model(model)
    say(f"step {training.step}: validation in {args.output / CURVE}, the model in {model}")
    if training.step < settings.steps:
        say("interrupted; the same command with --resume goes on from here")
        return INTERRUPTED
    return 0


def _command(args: argparse.Namespace) -> str:
    """The command, as far as it decides the weights: threads decide in which order numbers are added."""
    names = ("steps", "batch", "scenes", "window", "rate", "seed", "threads")
    given = " ".join(f"--{name} {getattr(args, name)}" for name in names)
    return f"robot_ai train lidar {given}{'' if args.half else ' --full'}"
