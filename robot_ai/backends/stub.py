"""A backend without a framework, for tests and benchmarks: it boxes what is bright."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.base import FrameworkBackend, LoadRequest
from robot_ai.backends.errors import ArtifactLoadError, InferenceError
from robot_ai.backends.protocol import Tensors
from robot_ai.backends.support import check_precision, choose_device

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


class StubBackend(FrameworkBackend):
    """Gives `boxes` (B, K, 4), xyxy in network pixels, and `scores` (B, K, C), with the K and C of the card's outputs.

    The first of the K boxes is the tight bounding box of the pixels with a channel above the threshold, with a score of
    0.9 for the chosen class; all other scores are 0. Where nothing is bright every score is 0.
    """

    name = "stub"
    title = "stub"
    known = OPTIONS

    def _open(self, request: LoadRequest) -> None:
        choose_device(request.device, 0, "the stub")
        check_precision(request.precision, request.artifact, (), "the stub")
        options = request.options
        time.sleep(options.number("load_delay", 0, 3600))
        if options.flag("fail_load", False):
            raise ArtifactLoadError("the stub was told to fail by its option 'fail_load'")
        if {spec.name for spec in self._outputs} != {"boxes", "scores"}:
            raise ArtifactLoadError(
                f"the stub gives 'boxes' and 'scores'; the card says {'; '.join(str(spec) for spec in self._outputs)}"
            )
        self._device = "cpu"
        self._layout = request.card.image_for(self.name).layout
        self._threshold = options.number("threshold", 200, 1e9)
        self._class_index = options.integer("class_index", 0, 1_000_000)
        self._delay = options.number("delay", 0, 3600)
        self._fail_every = options.integer("fail_every", 0, 1_000_000_000)
        self._hang_at = options.integer("hang_at", 0, 1_000_000_000)
        self._calls = -1  # the pass of `load` itself is number 0

    def _release(self) -> None:
        """Nothing is held."""

    def _forward(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        self._calls += 1
        if self._calls:
            self._misbehave()
        return self._bright_boxes(tensors[self._inputs[0].name])

    def _misbehave(self) -> None:
        """Does to a numbered pass what the options ask for."""
        time.sleep(self._delay)
        if self._calls == self._hang_at:
            time.sleep(60)
        if self._fail_every and self._calls % self._fail_every == 0:
            raise InferenceError(f"the stub was told to fail by its option 'fail_every' (call {self._calls})")

    def _bright_boxes(self, batch: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
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
