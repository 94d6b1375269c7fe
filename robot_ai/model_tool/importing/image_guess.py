"""How images enter the network: layout and size from the file, the rest from what the decoder's family trains with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from robot_ai.model_tool.importing.errors import InputGuessError, OverrideError
from robot_ai.model_tool.importing.network import is_rtdetr
from robot_ai.model_tool.importing.overrides import Guess, Overrides
from robot_ai.model_tool.inspection.readers import literal
from robot_ai.model_tool.inspection.types import Inspection, TensorInfo

AXES = {"NCHW": (2, 3), "NHWC": (1, 2)}
RAW, PARTS = ((0.0,) * 3, (1.0,) * 3), ((0.0,) * 3, (255.0,) * 3)
CENTERED = ((127.5,) * 3, (127.5,) * 3)
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
IMAGENET_BGR = (IMAGENET[0][::-1], IMAGENET[1][::-1])
CENTERNET = ((104.01, 114.03, 119.92), (73.6, 69.89, 70.92))


@dataclass(frozen=True)
class Preset:
    """How a family of networks is fed: a pixel enters as (value - mean) / std."""

    color: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str
    pad_value: int
    family: str


PRESETS = {
    "yolov8": Preset("rgb", *PARTS, "letterbox", 114, "Ultralytics' models"),
    "yolo26": Preset("rgb", *PARTS, "letterbox", 114, "Ultralytics' models"),
    "yolov5": Preset("rgb", *PARTS, "letterbox", 114, "YOLOv5 and YOLOv7"),
    "yolox": Preset("bgr", *RAW, "letterbox", 114, "YOLOX"),
    "nanodet": Preset("bgr", *IMAGENET_BGR, "stretch", 114, "NanoDet"),
    "ssd": Preset("rgb", *CENTERED, "stretch", 114, "the TF Object Detection API"),
    "detr": Preset("rgb", *IMAGENET, "stretch", 114, "DETR"),
    "centernet": Preset("bgr", *CENTERNET, "letterbox", 0, "CenterNet"),
    "torchvision": Preset("rgb", *PARTS, "stretch", 0, "torchvision's detectors, which normalize by themselves"),
    "classification": Preset("rgb", *IMAGENET, "stretch", 114, "classifiers trained on ImageNet"),
}


def choose_input(inspection: Inspection, overrides: Overrides) -> tuple[TensorInfo, str, tuple[int, int], list[Guess]]:
    """The image input, its layout and its height and width, with the reasons. Raises InputGuessError."""
    tensor = _image_tensor(inspection)
    shape = tensor.shape
    if len(shape) == 3:
        shape = (None, *shape)
    if len(shape) != 4:
        raise _no_image(inspection)
    layout, why = _layout(inspection, shape, overrides.layout)
    guesses = [Guess("layout", layout, why)]
    sides, why = _sides(inspection, layout, shape, overrides)
    guesses.append(Guess("size", f"{sides[1]}x{sides[0]} pixels", why))
    return tensor, layout, sides, guesses


def guess_preprocessing(
    decoder: str, tensor: TensorInfo, inspection: Inspection, overrides: Overrides
) -> tuple[dict[str, Any], list[Guess]]:
    """The card's `dtype`, `color`, `mean`, `std`, `resize` and `pad_value`. Raises InputGuessError or OverrideError."""
    dtype = _dtype(tensor, inspection)
    preset = PRESETS.get("yolov8" if decoder == "yolo11" else decoder)
    if preset is None:
        preset = _told(decoder, inspection, overrides, dtype)
    why = f"as {preset.family} are fed" if PRESETS.get(decoder) or decoder == "yolo11" else "as told"
    if inspection.metadata.get("author") == "Ultralytics" and decoder == "classification":
        preset, why = replace(preset, mean=PARTS[0], std=PARTS[1]), "as Ultralytics' classifiers are fed"
    if is_rtdetr(inspection.metadata):
        preset, why = replace(preset, resize="stretch"), "as Ultralytics' RT-DETR is fed"
    if dtype == "uint8":
        preset = replace(preset, mean=RAW[0], std=RAW[1])
    if overrides.color and overrides.color != preset.color:
        # Means belong to channels: they turn with the colors.
        preset = replace(preset, color=overrides.color, mean=preset.mean[::-1], std=preset.std[::-1])
    given: dict[str, Any] = {"mean": _triple("mean", overrides.mean), "std": _triple("std", overrides.std)}
    given |= {"resize": overrides.resize, "pad_value": overrides.pad_value}
    preset = replace(preset, **{key: value for key, value in given.items() if value is not None})
    told = {key for key, value in {**given, "color": overrides.color}.items() if value is not None}
    if "pad_value" in told and preset.resize != "letterbox":
        raise OverrideError("--pad-value fills the border of a letterbox; give --resize letterbox as well, or neither")
    entry = {
        "dtype": dtype,
        "color": preset.color,
        "mean": list(preset.mean),
        "std": list(preset.std),
        "resize": preset.resize,
        **({"pad_value": preset.pad_value} if preset.resize == "letterbox" else {}),
    }
    reasons: Mapping[str, str] = dict.fromkeys(told, "as told") | {"dtype": "as the file says"}
    if dtype == "uint8":
        reasons = {**dict.fromkeys(("mean", "std"), "a uint8 input takes raw pixels"), **reasons}
    return entry, [Guess(key, str(value), reasons.get(key, why)) for key, value in entry.items()]


def _image_tensor(inspection: Inspection) -> TensorInfo:
    if inspection.inputs is None:
        # TorchScript: a lone image is what every exporter of detectors makes.
        return TensorInfo("images", (None, 3, None, None), "float32")
    if len(inspection.inputs) != 1:
        raise _no_image(inspection)
    return inspection.inputs[0]


def _no_image(inspection: Inspection) -> InputGuessError:
    given = "\n".join(f"  {tensor}" for tensor in inspection.inputs or ()) or "  none"
    return InputGuessError(
        f"{inspection.path}: the model takes\n{given}\nExpected one batch of images, (batch, 3, height, width) or "
        "(batch, height, width, 3). Export it with the image as its only input"
    )


def _layout(inspection: Inspection, shape: tuple[int | None, ...], told: str | None) -> tuple[str, str]:
    fitting = [layout for layout, axis in (("NCHW", 1), ("NHWC", 3)) if shape[axis] == 3]
    if told is not None:
        if told not in fitting and shape[1 if told == "NCHW" else 3] is not None:
            raise _no_image(inspection)
        return told, "as told"
    if len(fitting) == 1:
        return fitting[0], f"axis {1 if fitting[0] == 'NCHW' else 3} of the input is 3"
    if not fitting and inspection.backend == "tensorflow" and shape[3] is None and shape[1] is None:
        return "NHWC", "as TensorFlow's models are laid out"
    if fitting or shape[1] is None or shape[3] is None:
        raise InputGuessError(
            f"{inspection.path}: the layout of {_image_tensor(inspection)} cannot be told. Give --layout NCHW or NHWC"
        )
    raise _no_image(inspection)


def _sides(
    inspection: Inspection, layout: str, shape: tuple[int | None, ...], overrides: Overrides
) -> tuple[tuple[int, int], str]:
    """Height and width."""
    height, width = (shape[axis] for axis in AXES[layout])
    if overrides.size is not None:
        told = (overrides.size[1], overrides.size[0])
        if height not in (None, told[0]) or width not in (None, told[1]):
            raise OverrideError(
                f"--size is {told[1]}x{told[0]}, but the file is fixed to {width}x{height} (width x height). Remove "
                "it, or export the model in that size"
            )
        return told, "as told"
    if height and width:
        return (height, width), "as the file says"
    size = literal(inspection.metadata.get("imgsz", ""))
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size):
        return (size[0], size[1]), "the metadata's imgsz"
    raise InputGuessError(
        f"{inspection.path} takes images of any size; a card needs one. Give --size WIDTHxHEIGHT, the size that the "
        "model was trained with"
    )


def _dtype(tensor: TensorInfo, inspection: Inspection) -> str:
    if tensor.dtype == "uint8":
        return "uint8"
    if tensor.dtype.startswith("float") or tensor.quantized:
        return "float32"  # the backend converts to narrower floats, and quantizes by the file's own scale
    raise InputGuessError(
        f"{inspection.path}: the input {tensor} is neither float nor uint8. Export the model with such an input"
    )


def _told(decoder: str, inspection: Inspection, overrides: Overrides, dtype: str) -> Preset:
    """For outputs that many families share, nothing tells how the network is fed."""
    missing = ["--color"] if overrides.color is None else []
    if dtype != "uint8":
        missing += [f"--{key}" for key in ("mean", "std") if getattr(overrides, key) is None]
    missing += ["--resize"] if overrides.resize is None else []
    if missing:
        raise InputGuessError(
            f"{inspection.path}: decoder '{decoder}' does not tell how the network is fed. Give {', '.join(missing)}, "
            "as the network was trained"
        )
    return Preset(overrides.color or "rgb", *RAW, overrides.resize or "stretch", 114, "told")


def _triple(key: str, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if values is None:
        return None
    if len(values) not in (1, 3):
        raise OverrideError(f"--{key} has {len(values)} numbers; expected one for all channels, or three")
    return values * 3 if len(values) == 1 else values
