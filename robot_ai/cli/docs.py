"""`robot_ai docs`: the pages of docs/ that are made from the code, so that they cannot lie."""

from __future__ import annotations

import argparse
from pathlib import Path

from robot_ai.bringup.table import EXECUTABLES
from robot_ai.perception.encodings import ENCODINGS
from robot_ai.ros.parameter_spec import markdown_table

PAGE = "parameters.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--write", action="store_true", help="write the page; otherwise it is printed")
    parser.add_argument("--directory", type=Path, default=Path("docs"), help="where the page goes (docs)")


def run(args: argparse.Namespace) -> int:
    """Prints or writes the page."""
    page = parameters_page()
    if not args.write:
        print(page, end="")
        return 0
    args.directory.mkdir(parents=True, exist_ok=True)
    (args.directory / PAGE).write_text(page, encoding="utf-8")
    print(f"wrote {args.directory / PAGE}")
    return 0


def parameters_page() -> str:
    """docs/parameters.md as a whole."""
    parts = [
        "# Parameters\n",
        "Generated from the code by `make docs`; do not edit.\n",
        "A value that is refused leaves everything as it was, and the answer says why. *When unconfigured* means: run "
        "`ros2 lifecycle set <node> deactivate` and `cleanup`, set the parameter, then `configure` and `activate`.\n",
    ]
    for name, executable in sorted(EXECUTABLES.items()):
        parts += [f"## {name}\n", markdown_table(executable.parameters)]
    parts += [
        "## QoS of the subscriptions to images, clouds and scans\n",
        "| Parameter | Default | Accepted |\n|---|---|---|\n"
        "| `qos_overrides.<topic>.subscription.reliability` | `auto` | auto (what the publishers offer), reliable, "
        "best_effort |\n"
        "| `qos_overrides.<topic>.subscription.durability` | `auto` | auto (volatile), volatile, transient_local |\n"
        "| `qos_overrides.<topic>.subscription.depth` | `5` | 1 or more |\n",
        "`<topic>` is the full name after remapping, such as `/camera/image_raw`.\n",
        "## Image encodings\n",
        f"Read without cv_bridge: {', '.join(f'`{name}`' for name in ENCODINGS)}. Others go through cv_bridge where it "
        "is installed.\n",
    ]
    return "\n".join(parts)
