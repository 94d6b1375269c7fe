"""`robot_ai model verify`: whether all artifacts of a card are the same model."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("model", help="model card: a name, or a directory")
    parser.add_argument("--artifacts", metavar="KEYS", default="", help="only these, such as onnx,litert/int8 (all)")
    parser.add_argument("--reference", metavar="KEY", help="the artifact to compare with (the first that runs)")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photos to compare on (those inside PyPI wheels)")
    parser.add_argument(
        "--clouds", type=Path, metavar="DIR", help="for a lidar's model: clouds to compare on (simulated ones)"
    )
    parser.add_argument("--coco", type=Path, metavar="DIR", help="also average precision: images/ and instances.json")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 is the framework's default")


def run(args: argparse.Namespace) -> int:
    """Prints the table; 0 when every artifact that ran is the same model, else 1."""
    from robot_ai.model_tool.trials import trial_of
    from robot_ai.model_tool.verify import Verifier
    from robot_ai.model_tool.verify_page import page
    from robot_ai.models.card import LIDAR_TASK, ModelCard
    from robot_ai.models.find import find_model

    card = ModelCard.load(find_model(args.model), backends=())
    trial = trial_of(card, args.clouds if card.task == LIDAR_TASK else args.photos, args.coco)
    verifier = Verifier(args.model, trial, args.threads, lambda line: print(line, flush=True))
    keys = [key.strip() for key in args.artifacts.split(",") if key.strip()]
    report = verifier.run(keys, args.reference)
    print("\n" + page(report))
    return 1 if report.failed else 0
