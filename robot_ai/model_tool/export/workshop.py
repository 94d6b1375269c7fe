"""One model in every representation that converters take, each made from the nearest one when it is asked for."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from robot_ai.backends.errors import MissingFrameworkError
from robot_ai.backends.support import is_importable
from robot_ai.model_tool.export import onnx_formats, tensorflow_formats, torch_formats
from robot_ai.model_tool.export.errors import ConverterError, ConverterMissingError, NoRouteError
from robot_ai.model_tool.export.formats import FORMATS
from robot_ai.model_tool.export.packages import INSTALL
from robot_ai.models.artifacts import backend_of
from robot_ai.models.card import ModelCard
from robot_ai.models.specs import ModelInput

Say = Callable[[str], None]
_Made = TypeVar("_Made")
FAMILIES = {"pytorch": "torch", "onnx": "onnx", "openvino": "onnx", "tensorflow": "tensorflow", "litert": "tflite"}
# Which artifact a format is best made from: each step through a converter is one more that can go wrong.
PREFERENCE = {
    "torch": ("torch", "onnx", "tensorflow", "tflite"),
    "onnx": ("torch", "tensorflow", "onnx", "tflite"),
    "tensorflow": ("tensorflow", "torch", "onnx", "tflite"),
}
_MODULES = {"torch": "torch", "onnx": "onnx", "tensorflow": "tensorflow", "tflite": "tensorflow"}


class Workshop:
    """A card's artifact `key` as a PyTorch module, an ONNX file and a TensorFlow function.

    `folder` takes what is made on the way. Each property raises ConverterMissingError or ConverterError.
    """

    def __init__(self, card: ModelCard, key: str, folder: Path, say: Say) -> None:
        self.card = card.select(key)
        self.key = key
        self.backend = backend_of(key)
        self.family = FAMILIES[self.backend]
        self._folder = folder
        self._say = say

    @property
    def nhwc_input(self) -> ModelInput:
        """The images or pillars as TensorFlow's formats take them."""
        return replace(self.card.inputs[0], layout="NHWC")

    @cached_property
    def torch(self) -> torch_formats.TorchModel:
        """An `nn.Module` that takes the card's image and gives a tuple in the order of the card's outputs."""
        if self.family == "torch":
            return converted("torch", lambda: torch_formats.load(self.card, self.backend))
        file = self._fixed_onnx
        self._say("onnx2torch: ONNX to PyTorch")
        return converted("onnx2torch", lambda: torch_formats.from_onnx(file, self.card))

    @cached_property
    def onnx(self) -> onnx_formats.OnnxModel:
        """An ONNX file whose tensors have the card's names, with the batch free where the source leaves it free."""
        path = self._folder / "model.onnx"
        if self.family == "onnx":
            return converted("onnx", lambda: onnx_formats.from_artifact(self.card, self.backend, path))
        if self.family == "torch":
            module = self.torch
            self._say("torch.onnx: PyTorch to ONNX")
            return converted("torch.onnx", lambda: torch_formats.to_onnx(module, self.card, path))
        if self.family == "tensorflow":
            function = self.tensorflow
            self._say("tf2onnx: TensorFlow to ONNX")
            return converted("tf2onnx", lambda: tensorflow_formats.to_onnx(function, path))
        self._say("tf2onnx: LiteRT to ONNX")
        return converted("tf2onnx", lambda: onnx_formats.from_tflite(self.card, self.backend, path))

    @cached_property
    def _fixed_onnx(self) -> onnx_formats.OnnxModel:
        file = self.onnx
        return converted("ONNX Runtime", lambda: onnx_formats.fixed_copy(file, self._folder / "fixed.onnx"))

    @cached_property
    def tensorflow(self) -> tensorflow_formats.TensorFlowModel:
        """A function that takes the image as NHWC and gives a dictionary with the card's output names."""
        if self.family == "tensorflow":
            return converted("TensorFlow", lambda: tensorflow_formats.load(self.card, self.backend))
        file = self._fixed_onnx
        self._say("onnx2tf: ONNX to TensorFlow")
        folder = self._folder / "onnx2tf"
        return converted("onnx2tf", lambda: tensorflow_formats.from_onnx(file, self.card, folder, self._say))


def choose_source(card: ModelCard, family: str, wanted: str | None, exclude: str = "") -> str:
    """The artifact to make a format of a family from: `wanted`, or the nearest whose framework is installed.

    `exclude` is the format's own artifact, from which it is made again only when there is no other.

    Raises NoArtifactError for a `wanted` that the card has not, NoRouteError when nothing fits, ConverterMissingError
    when what would fit needs a framework that is not installed.
    """
    if wanted is not None:
        keys = [key for key in card.artifacts if key == wanted or backend_of(key) == wanted]
        if not keys:
            card.artifact_for(wanted)
        if backend_of(wanted) not in FAMILIES:
            raise NoRouteError(f"no converter reads artifacts of '{wanted}'; expected one of {', '.join(FAMILIES)}")
        return wanted
    readable = [
        key
        for near in PREFERENCE[family]
        for key, artifact in card.artifacts.items()
        if FAMILIES.get(backend_of(key)) == near and artifact.precision != "int8"
    ]
    usable = [key for key in readable if is_importable(_MODULES[FAMILIES[backend_of(key)]])]
    # TorchScript last: only the older exporters take it. The sort is stable.
    usable.sort(key=lambda key: (key == exclude, key == FORMATS["torchscript"].key))
    if usable:
        return usable[0]
    if readable:
        raise ConverterMissingError(
            f"{card.name} can be converted from {', '.join(readable)}, but no framework of these is installed. "
            f"Install them and the converters with: {INSTALL}"
        )
    raise NoRouteError(
        f"{card.name} has artifacts for {', '.join(sorted(card.artifacts))}, of which none can be converted; expected "
        "an unquantized one of pytorch, tensorflow, onnx, openvino or litert"
    )


def converted(name: str, convert: Callable[[], _Made]) -> _Made:
    """Runs a converter quietly; its own message goes into the error. Raises ConverterError or ConverterMissingError."""
    with quiet() as said:
        try:
            return convert()
        except ModuleNotFoundError as error:
            raise ConverterMissingError(
                f"{name} needs the Python package '{error.name}'. Install it with: {INSTALL}"
            ) from error
        except (ConverterError, ConverterMissingError, MissingFrameworkError):
            raise
        except Exception as error:
            message = str(error).strip() or type(error).__name__
            last = said.getvalue().strip().splitlines()[-3:]
            raise ConverterError(
                f"{name} cannot convert this model: {_shortened(message)}"
                + (f" ({_shortened(' '.join(last))})" if last else "")
            ) from error


def _shortened(text: str, limit: int = 600) -> str:
    """The beginning and the end of a converter's message, which may list a whole network."""
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-limit // 2 :]}"


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Keeps what converters print off the terminal; it can be read from the stream given."""
    said = io.StringIO()
    level = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield said
        finally:
            logging.disable(level)
