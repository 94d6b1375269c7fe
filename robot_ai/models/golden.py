"""The golden sample: an input and the outputs that the model gave for it, by which a loaded artifact is recognized.

Stored beside the card as a safetensors file, a format that cannot carry code: `input.<name>` in the layout that the
card gives, `output.<name>`, each with a batch of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from robot_ai.models.artifacts import TOLERANCES, Artifact
from robot_ai.models.card import ModelCard
from robot_ai.models.errors import GoldenSampleError
from robot_ai.models.specs import TensorSpec

_INPUT, _OUTPUT = "input.", "output."


@dataclass(frozen=True)
class GoldenSample:
    """Arrays by the card's tensor names; inputs are in the card's layout."""

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]

    @classmethod
    def load(cls, card: ModelCard) -> GoldenSample | None:
        """The card's sample, None when it has none. Raises GoldenSampleError when it does not fit the card."""
        if card.golden is None:
            return None
        path = card.golden.path
        try:
            tensors = safetensors.numpy.load_file(path)
        except (safetensors.SafetensorError, OSError, TypeError, KeyError) as error:
            raise GoldenSampleError(f"{path} is not a readable safetensors file: {error}. Export it again") from error
        sample = cls(_part(tensors, _INPUT), _part(tensors, _OUTPUT))
        for found, specs in ((sample.inputs, [i.tensor for i in card.inputs]), (sample.outputs, card.outputs)):
            _check(path, found, specs)
        return sample

    def save(self, path: Path) -> None:
        """Writes the sample."""
        tensors = {_INPUT + name: np.ascontiguousarray(array) for name, array in self.inputs.items()}
        tensors |= {_OUTPUT + name: np.ascontiguousarray(array) for name, array in self.outputs.items()}
        safetensors.numpy.save_file(tensors, path)

    def inputs_for(self, card: ModelCard, backend: str) -> dict[str, NDArray[Any]]:
        """The inputs in the layout that the backend's artifact takes."""
        inputs = dict(self.inputs)
        for given in card.inputs:
            wanted = card.input_for(backend)
            if given.name == wanted.name and given.layout != wanted.layout:
                axes = (0, 2, 3, 1) if wanted.layout == "NHWC" else (0, 3, 1, 2)
                inputs[given.name] = np.ascontiguousarray(inputs[given.name].transpose(axes))
        return inputs


def tolerance_of(artifact: Artifact, precision: str = "auto") -> float:
    """The relative difference that is accepted of an artifact run in a precision (`auto`: its own)."""
    if artifact.tolerance is not None and precision in ("auto", artifact.precision):
        return artifact.tolerance
    coarsest = max(artifact.precision, precision if precision in TOLERANCES else artifact.precision, key=TOLERANCES.get)  # type: ignore[arg-type]
    return TOLERANCES[coarsest]


def _part(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)}


def _check(path: Path, found: Mapping[str, NDArray[Any]], specs: Any) -> None:
    wanted: dict[str, TensorSpec] = {spec.name: spec for spec in specs}
    fits = found.keys() == wanted.keys() and all(
        array.dtype == wanted[name].dtype and array.shape == tuple(axis or 1 for axis in wanted[name].shape)
        for name, array in found.items()
    )
    if not fits:
        given = "; ".join(f"{name} {array.shape} {array.dtype}" for name, array in found.items()) or "nothing"
        expected = "; ".join(map(str, wanted.values()))
        raise GoldenSampleError(f"{path} holds {given}; expected {expected} with a batch of one. Export it again")
