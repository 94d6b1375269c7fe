"""The `robot_ai` command: one verb per file of this folder."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from robot_ai.errors import RobotAIError

VERBS = {
    "demo": "a simulated robot that sees, follows people and stops for them, with real nodes over DDS",
    "demo-photos": "find objects in photos with real nodes over DDS",
    "demo-mcu": "a microcontroller on a serial line: link, obstacle, cable pulled, stop, recovery",
    "evaluate": "score detections: on a COCO data set, on a recording, or live against ground truth",
    "model": "import, export, verify and measure models",
    "train": "train the lidar and the camera detector on simulated data",
    "record": "record topics into a rosbag2 directory (MCAP)",
    "replay": "publish what was recorded, in time or in step with a detector",
    "show": "draw a lidar scan from a file with the boxes found in it",
    "demo-lidar": "find things in a simulated lidar scan",
    "view": "show a running robot in the browser, or record it for Rerun's viewer",
    "docs": "write the generated pages of docs/",
}

ROS_MODULES = ("rclpy", "sensor_msgs", "vision_msgs", "diagnostic_msgs", "std_msgs")


def main(args: list[str] | None = None) -> int:
    """Runs one verb; a known fault is one line on stderr and exit code 1, Ctrl-C exit code 130 at any moment."""
    try:
        return _run_verb(sys.argv[1:] if args is None else args, as_program=args is None)
    except KeyboardInterrupt:
        return 130


def model() -> int:
    """`ros2 run robot_ai model VERB`: the same as `robot_ai model VERB`."""
    sys.argv[1:1] = ["model"]
    return main()


def build_parser(args: Sequence[str]) -> argparse.ArgumentParser:
    """The command's parser, with the arguments of the verb that is in `args`."""
    parser = argparse.ArgumentParser(prog="robot_ai", description="Perception for ROS 2 robots.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    # A verb's module is imported for its own arguments only: some of them import a framework or ROS.
    chosen = next((word for word in args if word in VERBS), None)
    for verb, summary in VERBS.items():
        subparser = verbs.add_parser(verb, help=summary, description=summary)
        if verb == chosen:
            module = _import(verb)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser


def _run_verb(args: list[str], as_program: bool) -> int:
    if as_program:
        # An exception would be swallowed by some of what is imported: NumPy makes an ImportError of it.
        before = signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    parsed = build_parser(args).parse_args(args)
    if as_program:
        signal.signal(signal.SIGINT, before)
    try:
        return int(parsed.run(parsed))
    except RobotAIError as error:
        print(f"robot_ai {parsed.verb}: {error}", file=sys.stderr)
        return 1


def _import(verb: str) -> ModuleType:
    try:
        return import_module(f"robot_ai.cli.{verb.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if error.name in ROS_MODULES:
            sys.exit(
                f"robot_ai {verb} needs ROS 2 ({error.name} is not installed): source your distribution's setup.bash, "
                f"or run 'make demo', which installs ROS from PyPI"
            )
        raise


if __name__ == "__main__":
    raise SystemExit(main())
