"""`robot_ai model export`: a model in the formats of both worlds."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from robot_ai.model_tool.export.formats import FORMATS, parse_formats


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("model", help="model card: a name, or a directory")
    parser.add_argument("--to", required=True, metavar="FORMATS", help=f"some of {','.join(FORMATS)}, or all")
    parser.add_argument(
        "--from", dest="source", metavar="ARTIFACT", help="the artifact to start from (the nearest to each format)"
    )
    parser.add_argument("--output", type=Path, help="the new card's directory (out/models/NAME)")
    parser.add_argument(
        "--representative",
        type=Path,
        metavar="DIR",
        help="photos for int8's calibration (those inside PyPI wheels); for a lidar's model, clouds (simulated ones)",
    )
    parser.add_argument("--calibration-images", type=int, default=100, help="views of these to use (100)")


def run(args: argparse.Namespace) -> int:
    """Writes the formats; says where the card is and how to use it."""
    from robot_ai.model_tool.export.exporter import ExportRequest, export_model
    from robot_ai.models.card import ModelCard
    from robot_ai.models.find import find_model

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
    stream = sys.stdout  # converters' own words are kept off it
    formats = parse_formats(args.to)
    output = args.output or Path("out/models") / ModelCard.load(find_model(args.model), backends=()).name
    request = ExportRequest(
        args.model, formats, output, args.source, args.representative, max(1, args.calibration_images)
    )
    directory = export_model(request, lambda line: print(line, file=stream, flush=True))
    print(f"\n{directory / 'model.yaml'} has them all. Check them with: robot_ai model verify {directory}")
    return 0
