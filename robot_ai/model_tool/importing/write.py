"""From a plan to a model's directory: the file copied, checked, run once, and the card written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from robot_ai.backends.errors import BackendImportError, MissingFrameworkError, UnknownBackendError
from robot_ai.backends.loading import BackendChoice, load_backend
from robot_ai.model_tool.importing.errors import DecoderGuessError, DestinationError
from robot_ai.model_tool.importing.onnx_rewrite import add_batch_axis, write_in_one_file
from robot_ai.model_tool.importing.plan import MOST_PADDED, Plan
from robot_ai.models.artifacts import checksum
from robot_ai.models.card import CARD_FILE, ModelCard
from robot_ai.models.comparison import lists_something
from robot_ai.models.golden import GoldenSample
from robot_ai.perception.preprocess import ImagePreprocessor

GOLDEN_FILE = "golden.safetensors"
# No box of a sane model reaches this many sides of the image, and none is as small as this many pixels everywhere.
MOST_PARTS = 4
HEADER = "# Written by `robot_ai model import`; every key is explained in docs/models.md.\n"


@dataclass(frozen=True)
class Written:
    """A model's directory, and what is to be said about its golden sample."""

    directory: Path
    sha256: str
    golden: str


def write_model(plan: Plan, output: Path, photo: NDArray[np.uint8] | None = None) -> Written:
    """Writes the directory and proves it by loading it; on any fault nothing is left behind.

    `photo` (H, W, 3) uint8 BGR is the golden sample's input; without one a made-up picture is. Raises DestinationError,
    or what loading the model raises.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DestinationError(f"{output} is there already; expected a new or an empty folder. Choose another --output")
    fresh = output.absolute().with_name(f".{output.name}.importing")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        artifact = _copy(plan, fresh)
        digest = checksum(artifact)
        key = plan.inspection.backend
        entry = {"path": artifact.name, "sha256": digest, **plan.card["artifacts"][key]}
        card = {**plan.card, "artifacts": {key: entry}}
        _write_card(fresh, card)
        ModelCard.load(fresh)
        golden = _add_golden(plan, fresh, card, photo)
        if output.exists():
            output.rmdir()
        fresh.rename(output.absolute())
    except OSError as error:
        raise DestinationError(f"{output} cannot be written: {error}. Choose another --output") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Written(output, digest, golden)


def _copy(plan: Plan, directory: Path) -> Path:
    source = plan.inspection.path
    target: Path = directory / (plan.card["name"] + ("" if source.is_dir() else source.suffix.lower()))
    if source.is_dir():
        checksum(source)  # refuses links and special files
        shutil.copytree(source, target)
    elif plan.wrap:
        add_batch_axis(source, target, plan.wrap, MOST_PADDED)
    elif plan.inspection.companions:
        write_in_one_file(source, target, plan.inspection.size)
    else:
        shutil.copyfile(source, target)
    return target


def _write_card(directory: Path, card: dict[str, Any]) -> None:
    text = yaml.dump(card, Dumper=_CardDumper, sort_keys=False, allow_unicode=True, width=110)
    (directory / CARD_FILE).write_text(HEADER + text, encoding="utf-8")


class _CardDumper(yaml.SafeDumper):
    """Mappings on lines of their own, lists of plain values on one, and no aliases, which cards do not take."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flat = not any(isinstance(item, dict | list) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)


_CardDumper.add_representer(list, _represent_list)


def _add_golden(plan: Plan, directory: Path, card: dict[str, Any], photo: NDArray[np.uint8] | None) -> str:
    """Loads the model, which proves the card, and stores what it gives for a picture. Says what it did."""
    key = plan.inspection.backend
    try:
        loaded, backend = load_backend(BackendChoice(model=str(directory), backend=key))
    except (MissingFrameworkError, UnknownBackendError, BackendImportError) as error:
        return f"none, and the file was not run: {error}"
    try:
        image = loaded.image_for(key)
        picture = _picture(image.height, image.width) if photo is None else photo
        batch, _ = ImagePreprocessor(image)([picture])
        outputs = backend.infer({image.name: batch})
    finally:
        backend.close()
    _refuse_hidden_probabilities(plan, outputs)
    _refuse_other_corners(plan, outputs)
    _refuse_other_units(plan, loaded, outputs)
    loaded.create_decoder().decode(outputs, 0, loaded.thresholds.confidence)
    if not lists_something(loaded, outputs):
        where = "a made-up picture: give a photo with --check" if photo is None else "the photo: --check another"
        return f"none: the model finds nothing in {where}"
    sample = GoldenSample({image.name: batch}, {spec.name: outputs[spec.name] for spec in loaded.outputs})
    file = directory / GOLDEN_FILE
    sample.save(file)
    _write_card(directory, {**card, "golden": {"path": file.name, "sha256": checksum(file)}})
    load_backend(BackendChoice(model=str(directory), backend=key))[1].close()
    return f"{GOLDEN_FILE}, made with backend '{key}' from {'a made-up picture' if photo is None else 'the photo'}"


def _refuse_hidden_probabilities(plan: Plan, outputs: Any) -> None:
    """A softmax over probabilities would leave every class near the same score."""
    if plan.card["decoder"] != {"type": "classification", "activation": "softmax"}:
        return
    scores = outputs["scores"][0]
    if scores.min() >= 0 and abs(float(scores.sum()) - 1) < 1e-3:
        raise DecoderGuessError(
            "the output was taken for logits, but it sums to 1: it holds probabilities. Give --option activation=none"
        )


def _refuse_other_corners(plan: Plan, outputs: Any) -> None:
    """Centers and sizes taken for corners give boxes whose right is left of their left."""
    # Told, or known by the file's metadata, the order stands whatever the weights make of it.
    if plan.decoder != "yolo26" or "box_order" in plan.card["decoder"]:
        return
    if plan.inspection.metadata.get("author") == "Ultralytics":
        return
    rows = outputs["detections"][0]
    rows = rows[rows[:, 4] > 0]
    turned = int((rows[:, 2:4] < rows[:, :2]).any(axis=1).sum())
    # Boxes of hardly any score may be anything.
    if turned > len(rows) / 2:
        raise DecoderGuessError(
            f"boxes were taken for left, top, right, bottom, but {turned} of {len(rows)} then end before they begin: "
            "they are center and size. Give --option box_order=cxcywh, and normalized=true where they are parts of the "
            "sides, or box_order=xyxy if they are corners all the same"
        )


def _refuse_other_units(plan: Plan, card: ModelCard, outputs: Any) -> None:
    """Boxes of the YOLO family are pixels or parts of the sides; taken for the other they are dots, or everything."""
    options = card.decoder.options
    if plan.decoder == "yolox" or not plan.decoder.startswith("yolo"):
        return
    table = next(iter(outputs.values()))[0]
    columns = 6 if plan.decoder == "yolo26" else len(card.labels) + (5 if plan.decoder == "yolov5" else 4)
    rows = table if table.shape[1] == columns else table.T
    farthest = float(rows[:, :4].max())
    normalized = bool(options.get("normalized", False))
    if 0 < farthest <= MOST_PARTS and not normalized:
        raise DecoderGuessError(
            f"boxes were taken for pixels, but the largest number in them is {farthest:.3g}: they are parts of the "
            "input's sides. Give --option normalized=true"
        )
    if farthest > MOST_PARTS and normalized:
        raise DecoderGuessError(
            f"boxes were taken for parts of the input's sides, but a number in them is {farthest:.3g}: they are "
            "pixels. Give --option normalized=false"
        )


def _picture(height: int, width: int) -> NDArray[np.uint8]:
    """A picture with large shapes and fine grain, the same on every machine."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (9, 9, 3), np.uint8)
    shapes = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = generator.integers(-20, 21, shapes.shape)
    picture: NDArray[np.uint8] = np.clip(shapes + grain, 0, 255).astype(np.uint8)
    return picture
