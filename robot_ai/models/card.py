"""The model card: everything a node must know about a model, read from `model.yaml` and checked before use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from robot_ai.models.errors import (
    ArtifactChecksumError,
    ArtifactMissingError,
    ArtifactPathError,
    CardValueError,
    NoArtifactError,
)
from robot_ai.models.fields import Fields, read_yaml
from robot_ai.models.specs import ImageInput, TensorSpec, Thresholds
from robot_ai.perception.decoders.errors import DecoderError
from robot_ai.perception.decoders.protocol import Decoder, DecoderContext
from robot_ai.perception.decoders.registry import create_decoder

__all__ = ["CARD_FILE", "Artifact", "DecoderSpec", "ImageInput", "ModelCard", "TensorSpec", "Thresholds"]

CARD_FILE = "model.yaml"
TASKS = ("detection",)
MAX_SIDE = 8192  # pixels; a larger input is a slip of the pen, and it would ask for gigabytes
DTYPES = ("float32", "float16", "float64", "int64", "int32", "uint8", "int8")


@dataclass(frozen=True)
class Artifact:
    """What one backend loads.

    path: the file or None when the backend needs none. sha256: its checksum, 64 hex digits, given with a path.
    layout: the input layout this artifact takes, where it differs from the card's. network: for weights without a
    graph, the class that builds the network, as `package.module:Class`. options: free, read by the backend.
    """

    path: Path | None = None
    sha256: str | None = None
    layout: str | None = None
    network: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DecoderSpec:
    """Which decoder turns the outputs into boxes, and its options."""

    type: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelCard:
    """A checked model card. `directory` holds its `model.yaml` and its artifacts; the other fields are its keys."""

    directory: Path
    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    inputs: tuple[ImageInput, ...]
    outputs: tuple[TensorSpec, ...]
    decoder: DecoderSpec
    thresholds: Thresholds
    artifacts: Mapping[str, Artifact]
    license: str
    source: str

    @classmethod
    def load(cls, path: str | Path, backends: Collection[str] | None = None) -> ModelCard:
        """Reads and checks a card, given its directory or its `model.yaml`.

        The files of the artifacts for `backends` (None: of all) must exist and have the card's checksum; this reads
        them once, here. Raises a ModelCardError.
        """
        file = Path(path)
        if file.name != CARD_FILE:
            file = file / CARD_FILE
        fields = read_yaml(file)
        card = _parse(fields, file.absolute().parent)
        fields.finish()
        card.create_decoder()
        checked: dict[Path, str] = {}
        for backend, artifact in card.artifacts.items():
            if backends is None or backend in backends:
                _check_file(file, backend, artifact, checked)
        return card

    def artifact_for(self, backend: str) -> Artifact:
        """The artifact that a backend loads. Raises NoArtifactError."""
        if backend not in self.artifacts:
            raise NoArtifactError(
                f"{self.directory / CARD_FILE}: no artifact for backend '{backend}'; the card has artifacts for "
                f"{', '.join(sorted(self.artifacts))}. Choose one of these or add an entry under 'artifacts'"
            )
        return self.artifacts[backend]

    def input_for(self, backend: str) -> ImageInput:
        """The image input as a backend's artifact wants it: the card's, with the artifact's layout."""
        layout = self.artifact_for(backend).layout
        image = self.inputs[0]
        return replace(image, layout=layout) if layout else image  # type: ignore[arg-type]

    def create_decoder(self) -> Decoder:
        """Builds the decoder and checks that the card's outputs are those it reads. Raises CardValueError."""
        image = self.inputs[0]
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
    return ModelCard(
        directory=directory,
        name=name,
        version=fields.text("version", 'a version in quotes, such as "1.0"'),
        task=fields.choice("task", TASKS),
        labels=_parse_labels(fields),
        inputs=_parse_inputs(fields),
        outputs=_parse_outputs(fields),
        decoder=_parse_decoder(fields.mapping("decoder", "a mapping with 'type'")),
        thresholds=_parse_thresholds(fields.mapping("thresholds", "confidence, iou and max_detections")),
        artifacts=_parse_artifacts(fields.mapping("artifacts", "one entry per backend"), fields, directory),
        license=fields.text("license", "the license of the weights, such as Apache-2.0"),
        source=fields.text("source", "where the model comes from"),
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


def _parse_inputs(fields: Fields) -> tuple[ImageInput, ...]:
    inputs = tuple(_parse_image(item) for item in fields.mappings("inputs", "a list with one image input"))
    if len(inputs) != 1:
        raise fields.fault("inputs", f"has {len(inputs)} entries", "exactly one image input for a detection model")
    return inputs


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


def _parse_artifacts(entries: Fields, card: Fields, directory: Path) -> dict[str, Artifact]:
    if not entries.keys():
        raise card.fault("artifacts", "is empty", "an entry for at least one backend")
    return {
        backend: _parse_artifact(entries.mapping(backend, "a mapping with path, sha256, ..."), directory)
        for backend in entries.keys()  # noqa: SIM118 (not a dict)
    }


def _parse_artifact(fields: Fields, directory: Path) -> Artifact:
    path = fields.text("path", "a file beside the card") if fields.has("path") else None
    sha256 = fields.text("sha256", "the file's checksum") if fields.has("sha256") else None
    if (path is None) != (sha256 is None):
        given, absent = ("path", "sha256") if path else ("sha256", "path")
        raise fields.fault(given, f"is given without '{absent}'", "both, or neither for a backend without a file")
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise fields.fault("sha256", f"is {sha256!r}", "64 lower-case hex digits, as sha256sum prints them")
    network = fields.text("network", "package.module:Class") if fields.has("network") else None
    if network is not None and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", network):
        raise fields.fault("network", f"is {network!r}", "package.module:Class")
    artifact = Artifact(
        path=_inside(directory, path, fields) if path is not None else None,
        sha256=sha256,
        layout=fields.choice("layout", ("NCHW", "NHWC")) if fields.has("layout") else None,
        network=network,
        options=fields.mapping("options", "a mapping").free() if fields.has("options") else {},
    )
    fields.finish()
    return artifact


def _inside(directory: Path, path: str, fields: Fields) -> Path:
    """Joins an artifact's path to the card's directory.

    The check is on the text of the path: links inside the directory stay allowed, because `colcon build
    --symlink-install` links each file back to the sources.
    """
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\\" in path or "\0" in path:
        raise ArtifactPathError(
            f"{directory / CARD_FILE}: '{fields.path_of('path')}' is {path!r}, which leads outside the card's "
            "directory; expected a relative path below it. Put the file beside the card"
        )
    return directory / relative


def _check_file(card: Path, backend: str, artifact: Artifact, checked: dict[Path, str]) -> None:
    """Compares an artifact's file with its checksum; `checked` keeps each file from being read twice."""
    path, key = artifact.path, f"artifacts.{backend}"
    if path is None:
        return
    if path not in checked:
        try:
            if not path.is_file():
                raise ArtifactMissingError(
                    f"{card}: '{key}.path' names {path}, which is no file. Restore it or correct the path"
                )
            with path.open("rb") as stream:
                checked[path] = _sha256(stream)
        except OSError as error:
            raise ArtifactMissingError(
                f"{card}: '{key}.path' names {path}, which cannot be read ({error.strerror}). Check its permissions"
            ) from error
    if checked[path] != artifact.sha256:
        raise ArtifactChecksumError(
            f"{card}: '{key}.sha256': {path} has sha256 {checked[path]}; expected {artifact.sha256}. "
            "The file is damaged or was replaced: restore it, or correct the card if the change was meant"
        )


def _sha256(stream: Any) -> str:
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
