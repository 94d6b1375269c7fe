"""`robot_ai model import`: from a model file to a model card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from robot_ai.backends.loading import BackendChoice
from robot_ai.model_tool.importing.errors import DestinationError, OverrideError
from robot_ai.model_tool.importing.image_guess import choose_input
from robot_ai.model_tool.importing.overrides import Overrides
from robot_ai.model_tool.importing.plan import Plan, card_name, make_plan
from robot_ai.model_tool.importing.write import write_model
from robot_ai.model_tool.inspection.formats import inspect_model
from robot_ai.model_tool.inspection.types import Inspection
from robot_ai.perception.decoders.registry import DECODERS
from robot_ai.perception.sources import PhotoSource

OF_THE_CARD = ("decoder", "labels", "layout", "color", "resize", "pad_value", "name", "version", "license", "source")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    add = parser.add_argument
    add("file", type=Path, help=".onnx, .tflite, SavedModel directory, .keras, .h5, .pt2 or TorchScript")
    add("--output", type=Path, help="folder to make; its name is the model's unless --name is given")
    add("--dry-run", action="store_true", help="only show what would be written")
    add(
        "--check",
        type=Path,
        metavar="PHOTO",
        help="detect in this photo afterwards; it becomes the golden sample's input",
    )
    add("--decoder", choices=sorted(DECODERS), help="what turns the outputs into boxes (guessed)")
    add("--labels", help="class names: a file (lines, JSON, YAML) or another model's name (the file's own)")
    add("--size", type=_size, metavar="WIDTHxHEIGHT", help="of the input, for a file that leaves it open")
    add("--layout", choices=("NCHW", "NHWC"), help="of the input (guessed)")
    add("--color", choices=("rgb", "bgr"), help="order of the channels (guessed)")
    add("--mean", type=_numbers, metavar="A,B,C", help="subtracted from pixels of 0-255 (guessed)")
    add("--std", type=_numbers, metavar="A,B,C", help="divides what is left (guessed)")
    add("--resize", choices=("stretch", "letterbox"), help="how images are fitted (guessed)")
    add("--pad-value", type=int, help="gray of a letterbox's border (guessed)")
    add(
        "--tensor",
        action="append",
        default=[],
        metavar="NAME=OUTPUT",
        help="the decoder's tensor and the file's output",
    )
    add(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the decoder, such as first_class=0",
    )
    add("--signature", help="of a SavedModel (serving_default, or its only one)")
    add("--confidence", type=float, help="threshold of the score (0.35)")
    add("--iou", type=float, help="threshold of non-maximum suppression (0.6; 1, none, where the model has it)")
    add("--max-detections", type=int, help="most detections per image (100)")
    for key in ("name", "version", "license", "source"):
        add(f"--{key}", help=f"the card's {key}")


def run(args: argparse.Namespace) -> int:
    """Shows what is in the file and what was guessed, and writes the model's directory."""
    if args.output is None and not args.dry_run:
        raise DestinationError("--output is missing; give the folder to make, or --dry-run to only look")
    inspection = inspect_model(args.file, args.signature)
    overrides = _overrides(args)
    inspection = _run_if_silent(inspection, overrides)
    print("\n".join(inspection.lines))
    inspection = _find_lengths(inspection, overrides)
    photo = next(iter(PhotoSource(args.check)))[1] if args.check else None
    plan = make_plan(inspection, overrides)
    _show_guesses(plan)
    if args.dry_run:
        return 0
    written = write_model(plan, args.output, photo)
    print(f"wrote {written.directory}\n  sha256  {written.sha256}\n  golden sample  {written.golden}")
    if photo is not None:
        _check(written.directory, inspection.backend, photo)
    return 0


def _overrides(args: argparse.Namespace) -> Overrides:
    given: dict[str, Any] = {key: getattr(args, key) for key in OF_THE_CARD}
    if given["name"] is None and args.output is not None:
        given["name"] = card_name(args.output.absolute().name)
    return Overrides(
        **given,
        size=args.size,
        mean=args.mean,
        std=args.std,
        confidence=args.confidence,
        iou=args.iou,
        max_detections=args.max_detections,
        tensors=_pairs(args.tensor, "--tensor boxes=OUTPUT"),
        options={key: _value(key, text) for key, text in _pairs(args.option, "--option first_class=0").items()},
    )


def _run_if_silent(inspection: Inspection, overrides: Overrides) -> Inspection:
    """TorchScript does not describe its outputs; it is run once to see them."""
    if inspection.outputs is not None:
        return inspection
    from robot_ai.model_tool.importing.torchscript import with_outputs

    _, _, (height, width), _ = choose_input(inspection, overrides)
    return with_outputs(inspection, height, width)


def _find_lengths(inspection: Inspection, overrides: Overrides) -> Inspection:
    """Outputs whose lengths the file leaves open get those for the card's size."""
    from robot_ai.model_tool.importing.lengths import leaves_open, with_lengths

    if not leaves_open(inspection):
        return inspection
    _, layout, (height, width), _ = choose_input(inspection, overrides)
    told, how = with_lengths(inspection, layout, height, width)
    print(f"  lengths that the file leaves open were found {how}:")
    print("\n".join(f"    {tensor}" for tensor in told.outputs or ()))
    return told


def _show_guesses(plan: Plan) -> None:
    width = max(len(guess.what) for guess in plan.guesses)
    for guess in plan.guesses:
        print(f"  {guess.what:{width}}  {guess.value}  ({guess.reason})")
    if plan.wrap:
        print(f"  outputs get a batch axis and a fixed length: {', '.join(plan.wrap)}")


def _check(directory: Path, backend: str, photo: Any) -> None:
    from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

    detector = ImageDetector.load(BackendChoice(model=str(directory.absolute()), backend=backend))
    found = detector.detect([photo], DetectionSettings()).detections[0]
    detector.close()
    threshold = detector.card.thresholds.confidence
    print(f"{len(found)} detections of at least {threshold:g} in the photo of {photo.shape[1]}x{photo.shape[0]} pixels")
    for name, score, box in zip(found.names, found.scores.tolist(), found.xyxy.tolist(), strict=True):
        print(f"  {name} {score:.3f}  {', '.join(f'{edge:.1f}' for edge in box)}")


def _pairs(texts: list[str], example: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise OverrideError(f"'{text}' is no NAME=VALUE; expected such as {example}")
        pairs[key] = value
    return pairs


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OverrideError(f"the value of --option {key}={text} is no YAML value: {error}") from error


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"'{text}' is no size; expected such as 640x480, width first")
    return int(width), int(height)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers; expected such as 0.5 or 1,2,3") from error
