"""The model card: everything a node must know about a model, read from `model.yaml` and checked before use."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from robot_ai.models.artifacts import Artifact, backend_of, check_file, parse_artifacts, parse_file
from robot_ai.models.errors import CardTaskError, CardValueError, NoArtifactError
from robot_ai.models.fields import Fields, read_yaml
from robot_ai.models.specs import ImageInput, ModelInput, PillarInput, TensorSpec, Thresholds
from robot_ai.perception.decoders.errors import DecoderError
from robot_ai.perception.decoders.protocol import Decoder, DecoderContext
from robot_ai.perception.decoders.registry import create_decoder

__all__ = ["CARD_FILE", "Artifact", "DecoderSpec", "ImageInput", "ModelCard", "TensorSpec", "Thresholds"]

CARD_FILE = "model.yaml"
LIDAR_TASK = "detection_3d"
TASKS = ("detection", "classification", LIDAR_TASK)
MAX_SIDE = 8192  # pixels; a larger input is a slip of the pen, and it would ask for gigabytes
DTYPES = ("float32", "float16", "float64", "int64", "int32", "uint8", "int8")


@dataclass(frozen=True)
class DecoderSpec:
    """Which decoder turns the outputs into boxes, and its options."""

    type: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GoldenFile:
    """Where the golden sample is, an input and the outputs expected for it; read by `robot_ai.models.golden`."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class ModelCard:
    """A checked model card. `directory` holds its `model.yaml` and its artifacts; the other fields are its keys."""

    directory: Path
    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    inputs: tuple[ModelInput, ...]
    outputs: tuple[TensorSpec, ...]
    decoder: DecoderSpec
    thresholds: Thresholds
    artifacts: Mapping[str, Artifact]
    license: str
    source: str
    golden: GoldenFile | None = None

    @classmethod
    def load(cls, path: str | Path, backends: Collection[str] | None = None) -> ModelCard:
        """Reads and checks a card, given its directory or its `model.yaml`.

        The golden sample and the artifacts for `backends` (None: of all), given as `backend` or `backend/variant`, must
        exist and have the card's checksum; this reads them once, here. Raises a ModelCardError.
        """
        file = Path(path)
        if file.name != CARD_FILE:
            file = file / CARD_FILE
        fields = read_yaml(file)
        card = _parse(fields, file.absolute().parent)
        fields.finish()
        if card.task != LIDAR_TASK:
            card.create_decoder()
        checked: dict[Path, str] = {}
        for key, artifact in card.artifacts.items():
            if backends is None or key in backends or backend_of(key) in backends:
                check_file(file, f"artifacts.{key}", artifact.path, artifact.sha256, checked)
        if card.golden is not None:
            check_file(file, "golden", card.golden.path, card.golden.sha256, checked)
        return card

    def select(self, key: str, precision: str = "auto", options: Mapping[str, Any] | None = None) -> ModelCard:
        """The same card with one artifact, under its backend's name: what a backend is given to load.

        `key` is a backend or `backend/variant`. Among a backend's variants the first of that precision is taken; with
        `auto`, or where none has it, the one under the backend's own name, else the first. `options` go before the
        artifact's own. Raises NoArtifactError.
        """
        name = backend_of(key)
        variants = [other for other in self.artifacts if backend_of(other) == name]
        if key == name and variants:
            default = name if name in variants else variants[0]
            fitting = (other for other in variants if self.artifacts[other].precision == precision)
            key = default if self.artifacts[default].precision == precision else next(fitting, default)
        artifact = self.artifact_for(key)
        return replace(self, artifacts={name: replace(artifact, options={**artifact.options, **(options or {})})})

    def artifact_for(self, backend: str) -> Artifact:
        """The artifact of that key. Raises NoArtifactError."""
        if backend not in self.artifacts:
            raise NoArtifactError(
                f"{self.directory / CARD_FILE}: no artifact for backend '{backend}'; the card has artifacts for "
                f"{', '.join(sorted(self.artifacts))}. Choose one of these or add an entry under 'artifacts'"
            )
        return self.artifacts[backend]

    @property
    def image(self) -> ImageInput:
        """The input of a model for images. Raises CardTaskError when it is another model."""
        return self._as_image(self.inputs[0])

    def input_for(self, backend: str) -> ModelInput:
        """The input as a backend's artifact wants it: the card's, with the artifact's layout."""
        layout = self.artifact_for(backend).layout
        given = self.inputs[0]
        return replace(given, layout=layout) if layout else given  # type: ignore[arg-type]

    def image_for(self, backend: str) -> ImageInput:
        """As `input_for`, of a model for images. Raises CardTaskError when it is another model."""
        return self._as_image(self.input_for(backend))

    def pillars_for(self, backend: str) -> PillarInput:
        """As `input_for`, of a model for lidars. Raises CardTaskError when it is another model."""
        given = self.input_for(backend)
        if not isinstance(given, PillarInput):
            raise CardTaskError(
                f"{self.directory / CARD_FILE}: the model is for {self.task} in images; expected a model of task "
                f"{LIDAR_TASK}, such as pillarnet"
            )
        return given

    def _as_image(self, given: ModelInput) -> ImageInput:
        if not isinstance(given, ImageInput):
            raise CardTaskError(
                f"{self.directory / CARD_FILE}: the model is for {self.task} in lidar clouds; expected a model for "
                "images, such as nanodet_g"
            )
        return given

    def create_decoder(self) -> Decoder:
        """Builds the decoder of a model for images and checks that the card's outputs are those it reads.

        Raises CardValueError, or CardTaskError for another model, whose outputs `robot_ai.lidar` reads.
        """
        image = self.image
        context = DecoderContext(
            height=image.height,
            width=image.width,
            num_classes=len(self.labels),
            outputs={spec.name: spec.shape for spec in self.outputs},
        )
        try:
            return create_decoder(self.decoder.type, self.decoder.options, context)
        except DecoderError as error:
            raise CardValueError(f"{self.directory / CARD_FILE}: 'decoder': {error}") from error


def _parse(fields: Fields, directory: Path) -> ModelCard:
    """Reads every key of the card; files are not touched."""
    name = fields.text("name", "a short name such as nanodet_g")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise fields.fault("name", f"is {name!r}", "letters, digits and _ . - only")
    task = fields.choice("task", TASKS)
    return ModelCard(
        directory=directory,
        name=name,
        version=fields.text("version", 'a version in quotes, such as "1.0"'),
        task=task,
        labels=_parse_labels(fields),
        inputs=_parse_inputs(fields, _parse_pillars if task == LIDAR_TASK else _parse_image),
        outputs=_parse_outputs(fields),
        decoder=_parse_decoder(fields.mapping("decoder", "a mapping with 'type'")),
        thresholds=_parse_thresholds(fields.mapping("thresholds", "confidence, iou and max_detections")),
        artifacts=parse_artifacts(fields.mapping("artifacts", "one entry per backend"), fields, directory),
        license=fields.text("license", "the license of the weights, such as Apache-2.0"),
        source=fields.text("source", "where the model comes from"),
        golden=_parse_golden(fields.mapping("golden", "path and sha256"), directory) if fields.has("golden") else None,
    )


def _parse_labels(fields: Fields) -> tuple[str, ...]:
    labels = fields.items("labels", "a list of class names, in the order of the network's classes")
    places: dict[str, int] = {}
    for index, label in enumerate(labels):
        if not isinstance(label, str) or not label.strip():
            raise fields.fault(f"labels[{index}]", f"is {label!r}", "a class name (quote words such as no and on)")
        first = places.setdefault(label, index)
        if first != index:
            raise fields.fault(f"labels[{index}]", f"repeats '{label}' of labels[{first}]", "each label once")
    return tuple(labels)


def _parse_inputs(fields: Fields, parse: Callable[[Fields], ModelInput]) -> tuple[ModelInput, ...]:
    inputs = tuple(parse(item) for item in fields.mappings("inputs", "a list with one input"))
    if len(inputs) != 1:
        raise fields.fault("inputs", f"has {len(inputs)} entries", "exactly one input for a detection model")
    return inputs


def _parse_pillars(fields: Fields) -> PillarInput:
    pillars = PillarInput(
        name=fields.text("name"),
        side=fields.integer("side", 1, MAX_SIDE),
        cell=fields.number("cell", 0.01, 10),
        channels=fields.integer("channels", 1, 1024),
        layout=cast(Any, fields.choice("layout", ("NCHW", "NHWC"))),
        dtype=cast(Any, fields.choice("dtype", ("float32",))),
    )
    fields.finish()
    return pillars


def _parse_image(fields: Fields) -> ImageInput:
    image = ImageInput(
        name=fields.text("name"),
        height=fields.integer("height", 1, MAX_SIDE),
        width=fields.integer("width", 1, MAX_SIDE),
        layout=cast(Any, fields.choice("layout", ("NCHW", "NHWC"))),
        dtype=cast(Any, fields.choice("dtype", ("float32", "uint8"))),
        color=cast(Any, fields.choice("color", ("bgr", "rgb"))),
        mean=fields.triple("mean", -1e6, 1e6),
        std=fields.triple("std", 1e-6, 1e6),
        resize=cast(Any, fields.choice("resize", ("stretch", "letterbox"))),
        pad_value=fields.integer("pad_value", 0, 255) if fields.has("pad_value") else 114,
    )
    fields.finish()
    if image.dtype == "uint8" and (any(image.mean) or any(std != 1 for std in image.std)):
        raise fields.fault(
            "mean", "or 'std' changes pixels", "mean 0 and std 1 for a uint8 input, which takes raw pixels"
        )
    return image


def _parse_outputs(fields: Fields) -> tuple[TensorSpec, ...]:
    outputs = tuple(_parse_tensor(item) for item in fields.mappings("outputs", "a list of output tensors"))
    names = [spec.name for spec in outputs]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise fields.fault(f"outputs[{index}].name", f"repeats '{name}'", "each output once")
    return outputs


def _parse_tensor(fields: Fields) -> TensorSpec:
    name = fields.text("name")
    expected = "'batch' followed by whole numbers, such as [batch, 2704, 80]"
    shape = fields.items("shape", expected)
    axes = shape[1:]
    if shape[0] != "batch" or any(type(axis) is not int or axis < 1 for axis in axes):
        raise fields.fault("shape", f"is {shape!r}", expected)
    dtype = fields.choice("dtype", DTYPES)
    fields.finish()
    return TensorSpec(name, (None, *axes), dtype)


def _parse_decoder(fields: Fields) -> DecoderSpec:
    kind = fields.text("type", "the name of a decoder")
    return DecoderSpec(kind, fields.free())


def _parse_thresholds(fields: Fields) -> Thresholds:
    thresholds = Thresholds(
        confidence=fields.number("confidence", 0, 1),
        iou=fields.number("iou", 0, 1),
        max_detections=fields.integer("max_detections", 1, 10_000),
    )
    fields.finish()
    return thresholds


def _parse_golden(fields: Fields, directory: Path) -> GoldenFile:
    path, sha256 = parse_file(fields, directory)
    fields.finish()
    if path is None or sha256 is None:
        raise fields.fault("path", "is missing", "path and sha256 of the golden sample")
    return GoldenFile(path, sha256)
