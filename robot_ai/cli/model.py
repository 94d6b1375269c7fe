"""`robot_ai model`: the model tool, one verb per file `model_<verb>.py` of this folder."""

from __future__ import annotations

import argparse
from importlib import import_module

# Their modules import frameworks only in `run`.
VERBS = {
    "list": "the models that can be found, with their artifacts",
    "export": "a model in other formats, of both worlds",
    "verify": "whether all artifacts of a card are the same model",
    "benchmark": "speed and memory of every artifact on this machine",
    "info": "a model's card, artifacts and checksums, or what is in a model file",
    "import": "make a model card from a model file",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the tool's verbs with their arguments."""
    verbs = parser.add_subparsers(dest="model_verb", required=True, metavar="VERB")
    for verb, summary in VERBS.items():
        module = import_module(f"robot_ai.cli.model_{verb}")
        subparser = verbs.add_parser(verb, help=summary, description=summary)
        module.add_arguments(subparser)
        subparser.set_defaults(run_model=module.run)


def run(args: argparse.Namespace) -> int:
    """Runs the chosen verb; returns its exit code."""
    return int(args.run_model(args))
