"""`robot_ai model list`: what can be given as `model`."""

from __future__ import annotations

import argparse

from robot_ai.models.card import ModelCard
from robot_ai.models.errors import ModelCardError
from robot_ai.models.find import list_models, model_directories


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb has none."""


def run(args: argparse.Namespace) -> int:
    """Prints a line per model; a card that cannot be read says why. Returns 1 when there is no model."""
    models = list_models()
    for name, directory in models.items():
        try:
            card = ModelCard.load(directory, backends=())
        except ModelCardError as error:
            print(f"{name}: {error}")
            continue
        print(f"{name} {card.version}  {card.task}, {len(card.labels)} classes, {card.license}")
        print(f"    {directory}")
        print(f"    {', '.join(sorted(card.artifacts))}")
    if not models:
        print(f"no model in {', '.join(map(str, model_directories()))}")
    return 0 if models else 1
