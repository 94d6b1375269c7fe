"""The lengths of outputs that a file leaves open: inferred from an ONNX graph, else found by running the file.

Exports with free axes name their outputs' axes, or say nothing of them; a card says how long they are for its one size
of input.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.registry import create
from robot_ai.backends.support import zeros_for
from robot_ai.model_tool.importing.image_guess import AXES
from robot_ai.model_tool.importing.onnx_rewrite import write_in_one_file
from robot_ai.model_tool.importing.plan import card_dtype
from robot_ai.model_tool.inspection.onnx_file import infer_outputs
from robot_ai.model_tool.inspection.types import Inspection, TensorInfo
from robot_ai.models.artifacts import Artifact
from robot_ai.models.card import DecoderSpec, ModelCard
from robot_ai.models.specs import ImageInput, TensorSpec, Thresholds

Shape = tuple[int | None, ...]
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # mean and std


def leaves_open(inspection: Inspection) -> bool:
    """Whether the length of an output's axis behind the batch, or the number of axes, is not told."""
    return any(_is_open(tensor.shape) for tensor in inspection.outputs or ())


def with_lengths(inspection: Inspection, layout: str, height: int, width: int) -> tuple[Inspection, str]:
    """The inspection with the outputs' lengths for images of one size, and how they were found.

    Lengths that depend on the picture stay open. Running goes through the file's own backend, which looks at the file
    before it opens it. Raises BackendError.
    """
    if inspection.format == "ONNX":
        inspection = _told(inspection, infer_outputs(inspection.path, _image_shape(layout, height, width)))
        if not leaves_open(inspection):
            return inspection, "by ONNX' shape inference"
    return _told(inspection, _run(inspection, layout, height, width)), f"by running the file on {width}x{height} pixels"


def _is_open(shape: Shape) -> bool:
    return not shape or None in shape[1:]


def _image_shape(layout: str, height: int, width: int) -> tuple[int, ...]:
    """Of a batch of one."""
    shape = [1, 3, 3, 3]
    for axis, side in zip(AXES[layout], (height, width), strict=True):
        shape[axis] = side
    return tuple(shape)


def _told(inspection: Inspection, found: dict[str, Shape]) -> Inspection:
    """The inspection with what was found where the file leaves a length open; the batch stays as the file has it."""
    outputs = [replace(tensor, shape=_merged(tensor.shape, found[tensor.name])) for tensor in inspection.outputs or ()]
    return replace(inspection, outputs=tuple(outputs))


def _merged(told: Shape, found: Shape) -> Shape:
    if not told:
        return (None, *found[1:]) if found else ()
    if len(found) != len(told):
        return told
    pairs = zip(told[1:], found[1:], strict=True)
    return (told[0], *(length if axis is None else axis for axis, length in pairs))


def _run(inspection: Inspection, layout: str, height: int, width: int) -> dict[str, Shape]:
    """The shapes that the file gives; None where an axis is empty, or not the same for two pictures."""
    with _one_file(inspection) as path:
        card = _provisional_card(inspection, path, layout, height, width)
        backend = create(inspection.backend)
        backend.load(card)
        try:
            zeros = zeros_for(backend.inputs)
            noise = {name: _noise(array) for name, array in zeros.items()}
            first, second = backend.infer(zeros), backend.infer(noise)
        finally:
            backend.close()
    return {name: _common(first[name].shape, second[name].shape) for name in first}


def _common(first: tuple[int, ...], second: tuple[int, ...]) -> Shape:
    return tuple(one if one == other and one else None for one, other in zip(first, second, strict=True))


def _noise(array: NDArray[Any]) -> NDArray[Any]:
    values = np.random.default_rng(0).random(array.shape, np.float32)
    return (values * 255).astype(array.dtype) if array.dtype.kind == "u" else values.astype(array.dtype)


@contextlib.contextmanager
def _one_file(inspection: Inspection) -> Iterator[Path]:
    """The model's file, with the weights that lie beside it brought in: backends read no other file."""
    if not inspection.companions:
        yield inspection.path
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / inspection.path.name
        write_in_one_file(inspection.path, path, inspection.size)
        yield path


def _any_shape(tensor: TensorInfo) -> TensorSpec:
    return TensorSpec(tensor.name, (), card_dtype(tensor))


def _provisional_card(inspection: Inspection, path: Path, layout: str, height: int, width: int) -> ModelCard:
    """Enough of a card for a backend: the file's own outputs, of any length."""
    (image,) = inspection.inputs or ()
    dtype = "uint8" if image.dtype == "uint8" else "float32"
    given = ImageInput("image", height, width, cast(Any, layout), cast(Any, dtype), "rgb", *PLAIN, "stretch", 0)
    return ModelCard(
        directory=path.parent,
        name=inspection.path.stem,
        version="0",
        task="detection",
        labels=(),
        inputs=(given,),
        outputs=tuple(_any_shape(tensor) for tensor in inspection.outputs or ()),
        decoder=DecoderSpec("none"),
        thresholds=Thresholds(0, 1, 1),
        artifacts={inspection.backend: Artifact(path=path.absolute(), options=dict(inspection.options))},
        license="",
        source="",
    )
