"""`robot_ai model info`: what a model is, or what is in a model file."""

from __future__ import annotations

import argparse
import os
from math import prod
from pathlib import Path

import safetensors

from robot_ai.model_tool.inspection.errors import CheckpointError, InspectionError
from robot_ai.model_tool.inspection.formats import inspect_model
from robot_ai.model_tool.inspection.types import Inspection
from robot_ai.models.artifacts import Artifact, check_file, checksum
from robot_ai.models.card import CARD_FILE, ModelCard
from robot_ai.models.errors import ModelCardError
from robot_ai.models.find import find_model
from robot_ai.models.specs import ModelInput, PillarInput

METADATA_SHOWN = 100  # characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("model", help="a model's name or directory, or a model file, whose checksum is printed as well")


def run(args: argparse.Namespace) -> int:
    """Prints a card with its artifacts, or a file's inputs and outputs. Returns 1 when a checksum is wrong."""
    path = Path(args.model).expanduser()
    is_card = path.name == CARD_FILE or (path / CARD_FILE).is_file()
    if path.exists() and not is_card and (os.sep in args.model or path.is_file()):
        return _show_file(path)
    return _show_card(find_model(path if is_card else args.model))


def _show_file(path: Path) -> int:
    digest = checksum(path)
    print(f"sha256  {digest}")
    try:
        inspection = inspect_model(path)
    except CheckpointError as error:
        print(error)
        return 1
    print("\n".join(inspection.lines))
    for key, value in sorted(inspection.metadata.items()):
        shown = value if len(value) <= METADATA_SHOWN else f"{value[:METADATA_SHOWN]} …"
        print(f"  {key}: {shown}")
    return 0


def _show_card(directory: Path) -> int:
    card = ModelCard.load(directory, backends=())
    thresholds = card.thresholds
    print(f"{card.name} {card.version}: {card.task}, {len(card.labels)} classes, {card.license}")
    print(f"  {directory}\n  source  {card.source}")
    shown = ", ".join(card.labels[:5])
    print(f"  labels  {shown}{', …' if len(card.labels) > 5 else ''}")
    _show_input(card.inputs[0])
    for spec in card.outputs:
        print(f"  output  {spec}")
    options = ", ".join(f"{key}: {value}" for key, value in card.decoder.options.items())
    print(f"  decoder {card.decoder.type}{f' ({options})' if options else ''}")
    print(
        f"  thresholds  confidence {thresholds.confidence:g}, iou {thresholds.iou:g}, at most "
        f"{thresholds.max_detections} detections"
    )
    checked: dict[Path, str] = {}
    faults = [_show_artifact(card, key, artifact, checked) for key, artifact in card.artifacts.items()]
    if card.golden is None:
        print("  no golden sample")
    else:
        print(f"  golden sample  {card.golden.path.name}, {_size(card.golden.path)}, checksum right")
    return 1 if any(faults) else 0


def _show_input(given: ModelInput) -> None:
    if isinstance(given, PillarInput):
        print(f"  input   {given.tensor}, {given.layout}, pillars of {given.cell:g} m, {given.channels} channels")
        return
    border = f" on {given.pad_value}" if given.resize == "letterbox" else ""
    print(f"  input   {given.tensor}, {given.layout}, {given.color}, {given.resize}{border}")
    print(f"          (pixel - {_numbers(given.mean)}) / {_numbers(given.std)}")


def _show_artifact(card: ModelCard, key: str, artifact: Artifact, checked: dict[Path, str]) -> bool:
    """Prints one artifact; returns whether its file is missing or not what the card says."""
    details = [artifact.precision, *([artifact.layout] if artifact.layout else [])]
    if artifact.path is None:
        print(f"  {key}: no file, {', '.join(details)}")
        return False
    try:
        check_file(card.directory / CARD_FILE, f"artifacts.{key}", artifact.path, artifact.sha256, checked)
    except ModelCardError as error:
        print(f"  {key}: {error}")
        return True
    if artifact.path.suffix == ".safetensors":
        details.append(f"{_count(artifact.path):,} parameters")
    inspection = _inspect(artifact.path)
    if inspection is not None:
        details.insert(0, inspection.format)
        details += [f"{inspection.parameters:,} parameters"] if inspection.parameters else []
    print(f"  {key}: {artifact.path.name}, {_size(artifact.path)}, {', '.join(details)}, checksum right")
    print(f"      sha256 {artifact.sha256}")
    return False


def _count(path: Path) -> int:
    """The numbers in a safetensors file, by its header."""
    with safetensors.safe_open(path, "np") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 (not a dict)


def _inspect(path: Path) -> Inspection | None:
    """What can be seen without its reader being asked for: a card's artifact is described by the card already."""
    try:
        return inspect_model(path)
    except InspectionError:
        return None


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e6:.2f} MB"


def _numbers(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else f"({', '.join(f'{value:g}' for value in values)})"
