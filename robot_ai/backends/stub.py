"""A backend without a framework, for tests and benchmarks: it boxes what is bright."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import ArtifactLoadError, InferenceError
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.support import check_inputs, check_outputs, check_precision, check_threads, choose_device
from robot_ai.models.card import ModelCard

SCORE = 0.9
OPTIONS = {
    "threshold": "input value above which a pixel is bright (200)",
    "class_index": "class of the detection (0)",
    "delay": "seconds that a forward pass sleeps (0)",
    "fail_every": "a forward pass fails when its number, from 1, is a multiple of this; 0 is never (0)",
    "hang_at": "number, from 1, of a forward pass that hangs for a minute; 0 is never (0)",
    "load_delay": "seconds that load sleeps (0)",
    "fail_load": "whether load fails (false)",
}


class StubBackend:
    """Gives `boxes` (B, K, 4), xyxy in network pixels, and `scores` (B, K, C), with the K and C of the card's outputs.

    The first of the K boxes is the tight bounding box of the pixels with a channel above the threshold, with a score of
    0.9 for the chosen class; all other scores are 0. Where nothing is bright every score is 0.
    """

    framework: str | None = None

    def __init__(self) -> None:
        self._inputs: tuple[TensorSpec, ...] = ()
        self._outputs: tuple[TensorSpec, ...] = ()
        self._calls = 0

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The image input."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """`boxes` and `scores`."""
        return self._outputs

    @property
    def device(self) -> str:
        """Always `cpu`."""
        return "cpu"

    def load(self, card: ModelCard, device: str = "auto", threads: int = 0, precision: str = "auto") -> None:
        """Reads the options; see OPTIONS. Raises ArtifactLoadError when they are wrong or `fail_load` is set."""
        choose_device(device, 0, "the stub")
        check_threads(threads)
        check_precision(precision, card.artifact_for("stub"), (), "the stub")
        options = card.artifact_for("stub").options
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            known = "; ".join(f"{name}: {meaning}" for name, meaning in OPTIONS.items())
            raise ArtifactLoadError(f"the stub has no option {', '.join(unknown)}; its options are {known}")
        time.sleep(float(options.get("load_delay", 0)))
        if options.get("fail_load", False):
            raise ArtifactLoadError("the stub was told to fail by its option 'fail_load'")
        image = card.image_for("stub")
        self._layout = image.layout
        self._threshold = float(options.get("threshold", 200))
        self._class_index = int(options.get("class_index", 0))
        self._delay = float(options.get("delay", 0))
        self._fail_every = int(options.get("fail_every", 0))
        self._hang_at = int(options.get("hang_at", 0))
        self._inputs, self._outputs = (image.tensor,), card.outputs
        probe = np.zeros([axis or 1 for axis in image.tensor.shape], image.dtype)
        if {spec.name for spec in card.outputs} != {"boxes", "scores"}:
            raise ArtifactLoadError(
                f"the stub gives 'boxes' and 'scores'; the card says {'; '.join(str(spec) for spec in card.outputs)}"
            )
        check_outputs(card.outputs, self._forward(probe), "stub")

    def infer(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Finds the bright box of each image. Raises InferenceError, also on every `fail_every`-th call."""
        check_inputs(self._inputs, tensors)
        self._calls += 1
        if self._delay:
            time.sleep(self._delay)
        if self._calls == self._hang_at:
            time.sleep(60)
        if self._fail_every and self._calls % self._fail_every == 0:
            raise InferenceError(f"the stub was told to fail by its option 'fail_every' (call {self._calls})")
        return self._forward(tensors[self._inputs[0].name])

    def close(self) -> None:
        """Nothing is held."""

    def _forward(self, batch: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
        shapes = {spec.name: [axis or 1 for axis in spec.shape[1:]] for spec in self._outputs}
        boxes = np.zeros((len(batch), *shapes["boxes"]), np.float32)
        scores = np.zeros((len(batch), *shapes["scores"]), np.float32)
        for item, image in enumerate(batch):
            box = self._bright_box(image)
            if box is not None:
                boxes[item, 0] = box
                scores[item, 0, self._class_index] = SCORE
        return {"boxes": boxes, "scores": scores}

    def _bright_box(self, image: NDArray[Any]) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom edge of the bright pixels; two sweeps along memory, no copy."""
        if self._layout == "NHWC":
            height, width, channels = image.shape
            lines = image.reshape(height, width * channels)
            rows = lines.max(axis=1)
            columns = lines.max(axis=0).reshape(width, channels).max(axis=1)
        else:
            rows = image.max(axis=2).max(axis=0)
            columns = image.reshape(-1, image.shape[2]).max(axis=0)
        ys = np.flatnonzero(rows > self._threshold)
        xs = np.flatnonzero(columns > self._threshold)
        if not len(ys):
            return None
        return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1
