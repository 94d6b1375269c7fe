"""From what is in a file and what the user tells to the content of a card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from robot_ai.model_tool.importing.decoder_guess import guess_decoder
from robot_ai.model_tool.importing.errors import LabelsError, OverrideError
from robot_ai.model_tool.importing.image_guess import choose_input, guess_preprocessing
from robot_ai.model_tool.importing.labels import generic, read_labels, usable, without_background
from robot_ai.model_tool.importing.network import Match, Network
from robot_ai.model_tool.importing.overrides import Guess, Overrides
from robot_ai.model_tool.inspection.types import Inspection, TensorInfo
from robot_ai.models.comparison import LISTS

# Models of which no overlaps are left to suppress.
SETS = (*LISTS, "detr", "centernet", "classification")
# As many as any of torchvision's detectors gives by default.
MOST_PADDED = 300


@dataclass(frozen=True)
class Plan:
    """A card's content, without the artifact's file; `guesses` say where each value comes from.

    wrap: names of the outputs to which a batch axis is added, and which are filled up to MOST_PADDED rows.
    """

    inspection: Inspection
    card: dict[str, Any]
    guesses: list[Guess]
    decoder: str
    wrap: tuple[str, ...] = ()


def make_plan(inspection: Inspection, overrides: Overrides) -> Plan:
    """Guesses what the user did not tell. Raises ImportModelError, which says what cannot be told."""
    tensor, layout, (height, width), guesses = choose_input(inspection, overrides)
    labels, labels_from = _known_labels(inspection, overrides)
    match, counted = _decoder(inspection, overrides, (height, width), labels)
    entry, image_guesses = guess_preprocessing(match.decoder, tensor, inspection, overrides)
    if counted is None:
        if match.classes is None:
            raise LabelsError(
                f"{inspection.path}: decoder '{match.decoder}' has no output whose shape tells the number of classes, "
                "and the file carries no class names. Give --labels FILE, one name per line in the order of the classes"
            )
        counted, labels_from = list(generic(match.classes)), "made up: the file carries no names; give --labels"
    names = usable(counted)
    guesses.append(Guess("decoder", _shown(match), match.reason))
    guesses.append(
        Guess("labels", f"{len(names)}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}", labels_from)
    )
    card = {
        "name": _name(inspection, overrides),
        "version": overrides.version or "1",
        "task": "classification" if match.decoder == "classification" else "detection",
        "license": overrides.license or inspection.metadata.get("license") or "not stated",
        "source": overrides.source or _source(inspection),
        "labels": list(names),
        "inputs": [{"name": "image", "height": height, "width": width, "layout": layout, **entry}],
        "outputs": [_output(name, output, match.unbatched) for name, output in match.tensors.items()],
        "decoder": {"type": match.decoder, **match.options},
        "thresholds": _thresholds(match, overrides),
        "artifacts": {inspection.backend: _artifact(inspection, tensor, match)},
    }
    wrap = tuple(output.name for output in match.tensors.values()) if match.unbatched else ()
    return Plan(inspection, card, [*guesses, *image_guesses], match.decoder, wrap)


def _known_labels(inspection: Inspection, overrides: Overrides) -> tuple[list[str] | None, str]:
    if overrides.labels is not None:
        return read_labels(overrides.labels), f"as told: {overrides.labels}"
    if inspection.labels:
        return list(inspection.labels), "the file carries them"
    return None, ""


def _decoder(
    inspection: Inspection, overrides: Overrides, sides: tuple[int, int], labels: list[str] | None
) -> tuple[Match, list[str] | None]:
    """The decoder, with its options, and the labels, without a background where the decoder has none."""
    outputs = inspection.outputs or ()
    unknown = sorted(set(overrides.tensors.values()) - {out.name for out in outputs})
    if unknown:
        raise OverrideError(
            f"--tensor names the output {', '.join(unknown)}; the model gives {'; '.join(map(str, outputs))}"
        )
    classes = None if labels is None else len(labels)
    named = {**inspection.roles, **overrides.tensors}
    network = Network(
        outputs, *sides, classes, inspection.format, inspection.metadata, named, options=overrides.options
    )
    match = guess_decoder(network, overrides.decoder)
    options = {**match.options, **overrides.options}
    if match.decoder == "detr" and labels is None and "activation" not in overrides.options:
        columns = match.tensors["logits"].shape[2]
        raise LabelsError(
            f"{inspection.path}: nothing tells whether its {columns} logits are {columns} classes with a sigmoid "
            '(RT-DETR, Deformable DETR) or one less and "no object" with a softmax (DETR). Give --labels FILE, whose '
            "number decides, or --option activation=sigmoid or softmax"
        )
    from_ultralytics = inspection.backend == "litert" and inspection.metadata.get("author") == "Ultralytics"
    if from_ultralytics and match.decoder in ("yolov8", "yolo11", "yolov5"):
        # https://github.com/ultralytics/ultralytics/pull/1695: boxes as parts of the sides, for the sake of int8.
        options = {"normalized": True, **options}
    if labels is not None and match.decoder in ("ssd", "torchvision") and "first_class" not in overrides.options:
        labels = without_background(labels)
    return replace(match, options=options), labels


def _shown(match: Match) -> str:
    options = ", ".join(f"{key} {value}" for key, value in match.options.items())
    return f"{match.decoder}{f' with {options}' if options else ''}"


def _name(inspection: Inspection, overrides: Overrides) -> str:
    if overrides.name:
        return overrides.name
    return card_name(inspection.path.stem)


def card_name(text: str) -> str:
    """A text as a card's name, which starts with a letter or a digit and has no spaces."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip("_.-") or "model"


def _source(inspection: Inspection) -> str:
    made_by = inspection.metadata.get("description") or inspection.metadata.get("producer")
    return f"{inspection.path.name}{f' ({made_by.strip()})' if made_by else ''}, imported by robot_ai model import"


def _output(name: str, tensor: TensorInfo, unbatched: bool) -> dict[str, Any]:
    axes: Sequence[int | None] = (MOST_PADDED, *tensor.shape[1:]) if unbatched else tensor.shape[1:]
    if any(axis is None for axis in axes):
        raise OverrideError(
            f"the output {tensor} has a length that is not known, or that depends on the picture; expected one that is "
            "fixed but for the batch. Export the model so that it gives as many rows for every picture"
        )
    return {"name": name, "shape": ["batch", *axes], "dtype": card_dtype(tensor)}


def card_dtype(tensor: TensorInfo) -> str:
    """The dtype in which a backend gives this output: its real values, unless it is whole numbers."""
    return tensor.dtype if tensor.dtype in ("int64", "int32") and not tensor.quantized else "float32"


def _thresholds(match: Match, overrides: Overrides) -> dict[str, Any]:
    is_set = match.is_set or match.decoder in SETS
    defaults = {"confidence": 0.25 if match.decoder == "classification" else 0.35, "iou": 1.0 if is_set else 0.6}
    return {
        "confidence": defaults["confidence"] if overrides.confidence is None else overrides.confidence,
        "iou": defaults["iou"] if overrides.iou is None else overrides.iou,
        "max_detections": overrides.max_detections or 100,
    }


def _artifact(inspection: Inspection, image: TensorInfo, match: Match) -> dict[str, Any]:
    """The artifact's entry but for its file. A lone tensor is found whatever its name is."""
    own = {name: tensor.name for name, tensor in match.tensors.items() if name != tensor.name}
    several = len(inspection.outputs or ()) > 1
    entry: dict[str, Any] = {"precision": inspection.precision} if inspection.precision != "float32" else {}
    if several and own:
        entry["tensors"] = own
    if inspection.options:
        entry["options"] = dict(inspection.options)
    return entry
