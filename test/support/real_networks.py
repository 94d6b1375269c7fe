"""What the tests of real exports share: random weights that see something, and two lists of boxes side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from robot_ai.backends.loading import BackendChoice
from robot_ai.cli.main import main
from robot_ai.models.card import ModelCard
from robot_ai.perception.nms import suppress
from robot_ai.perception.preprocess import ImagePreprocessor
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

SIZE = 320
LEAST_OVERLAP, MOST_SCORE_DIFFERENCE = 0.99, 1e-3
Image = NDArray[np.uint8]
Photos = dict[str, Image]
Rows = NDArray[np.float32]  # left, top, right, bottom, score, class
Record = Callable[[str, object], None]


def overlaps(first: Rows, second: Rows) -> NDArray[np.float64]:
    """The intersection over union of each box of `first` (N, 6) with each of `second` (M, 6): (N, M)."""
    a, b = first[:, np.newaxis, :4].astype(np.float64), second[np.newaxis, :, :4].astype(np.float64)
    shared = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - shared
    return shared / np.maximum(union, 1e-9)


def compare(ours: Rows, theirs: Rows, record: Record, what: str) -> None:
    """Every box has its partner of the same class; holds their overlap and scores to the bars."""
    assert len(theirs) >= 5, "the reference found too little to compare"
    assert len(ours) == len(theirs), f"{what}: {len(ours)} and {len(theirs)}"
    overlap = overlaps(theirs, ours) * (theirs[:, np.newaxis, 5] == ours[np.newaxis, :, 5])
    overlap[np.abs(theirs[:, np.newaxis, 4] - ours[np.newaxis, :, 4]) > MOST_SCORE_DIFFERENCE] = 0
    # Clipped to the photo, several boxes may be one: each has a partner of its own all the same.
    rows, partners = linear_sum_assignment(overlap, maximize=True)
    least = float(overlap[rows, partners].min())
    apart = float(np.abs(theirs[rows, 4] - ours[partners, 4]).max())
    record(what, f"{len(theirs)} boxes, IoU >= {least:.6f}, score difference <= {apart:.2e}")
    assert least >= LEAST_OVERLAP
    assert apart <= MOST_SCORE_DIFFERENCE


def within(boxes: Rows, width: int, height: int) -> Rows:
    """The boxes clipped to an image, without those that lie outside it: what the pipeline publishes."""
    clipped = boxes.copy()
    clipped[:, :4] = np.clip(clipped[:, :4], 0, np.array([width, height] * 2, np.float32))
    return clipped[(clipped[:, 2:4] > clipped[:, :2]).all(axis=1)]


def letterboxed(found: Rows, photo: Image, size: int = SIZE) -> Rows:
    """Boxes in the network's letterbox as boxes in the photo."""
    height, width = photo.shape[:2]
    gain = size / max(height, width)
    inner = np.array([round(width * gain), round(height * gain)])
    moved = found.copy()
    moved[:, :4] = (moved[:, :4] - np.tile((size - inner) // 2, 2)) / np.tile(inner / (width, height), 2)
    return within(moved, width, height)


@dataclass
class Imported:
    """A file that the command imported, with one backend loaded."""

    card: ModelCard
    detector: ImageDetector

    def batch(self, photo: Image) -> NDArray[Any]:
        """The network's input for a photo."""
        batch, _ = ImagePreprocessor(self.card.inputs[0])([photo])
        return batch.copy()

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The file's outputs, under the card's names."""
        return dict(self.detector._backend.infer({self.card.inputs[0].name: batch}))

    def decode(self, outputs: dict[str, NDArray[Any]], confidence: float, iou: float | None = None) -> Rows:
        """Boxes in network pixels, after the suppression."""
        limit = self.card.thresholds.iou if iou is None else iou
        found = suppress(self.card.create_decoder().decode(outputs, 0, confidence), limit, 300)
        return np.column_stack([found.xyxy, found.scores, found.class_indices]).astype(np.float32)

    def detect(self, photo: Image, confidence: float, iou: float | None = None) -> Rows:
        """Boxes in the photo's pixels, by the pipeline that the node runs."""
        settings = DetectionSettings(confidence, iou, max_detections=300)
        found = self.detector.detect([photo], settings).detections[0]
        return np.column_stack([found.xyxy, found.scores, found.class_indices]).astype(np.float32)


def import_file(file: Path, output: Path, photo: Image, *told: str) -> Imported:
    """Imports by the command, as a user does, and loads the card, which holds it to its golden sample."""
    picture = output.with_suffix(".png")
    cv2.imwrite(str(picture), photo)
    assert main(["model", "import", str(file), "--output", str(output), "--check", str(picture), *told]) == 0
    card = ModelCard.load(output)
    assert card.golden is not None
    (backend,) = card.artifacts
    return Imported(card, ImageDetector.load(BackendChoice(model=str(output), backend=backend)))


def prove_export(card: ModelCard, output: Path) -> None:
    """Exported, the model has the import's golden sample, and another runtime gives the same list of boxes."""
    assert main(["model", "export", str(card.directory), "--to", "onnx", "--output", str(output)]) == 0
    exported = ModelCard.load(output)
    assert exported.golden is not None
    assert {"onnx", "openvino"} <= exported.artifacts.keys()
    assert main(["model", "verify", str(output)]) == 0
    for key in ("onnx", "openvino"):
        ImageDetector.load(BackendChoice(model=str(output), backend=key)).close()


def liven(torch: Any, network: Any, photos: Photos, call: Callable[[Any], Any] | None = None) -> None:
    """Sets the batch normalization of random weights from real photos; without it nothing arrives at the heads."""
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    images = [torch.from_numpy(photo[:SIZE, :SIZE, ::-1].copy()).permute(2, 0, 1) / 255 for photo in photos.values()]
    square = torch.nn.functional.interpolate
    batch = torch.cat([square(image[None], size=(SIZE, SIZE)) for image in images])
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    with torch.no_grad():
        (call or network)(batch)
    network.eval()


def spread(torch: Any, layers: list[Any], run: Callable[[], Any], deviation: float, bias: float = 0.0) -> None:
    """Random weights for last layers, so large that what they give in `run` has this deviation around the bias."""
    generator = torch.Generator().manual_seed(2)
    given: dict[Any, list[Any]] = {layer: [] for layer in layers}
    hooks = [layer.register_forward_hook(lambda layer, _, out: given[layer].append(out.flatten())) for layer in layers]
    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_(generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
        run()
        for layer in layers:
            if given[layer]:
                layer.weight *= deviation / torch.cat(given[layer]).std()
            if layer.bias is not None:
                layer.bias.fill_(bias)
    for hook in hooks:
        hook.remove()


def example(torch: Any, photos: Photos, size: int = SIZE) -> Any:
    """A photo as a batch of one (1, 3, size, size), parts of 255."""
    image = cv2.resize(photos["china"], (size, size))[:, :, ::-1].copy()
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 255


def threshold(scores: NDArray[Any], most: int) -> float:
    """A threshold that lets at most `most` scores pass, in the widest gap, so that rounding moves none across it."""
    ranked = np.sort(scores.reshape(-1).astype(np.float64))[::-1][: most + 1]
    low = len(ranked) // 2
    gap = low + int((ranked[low:-1] - ranked[low + 1 :]).argmax())
    return float((ranked[gap] + ranked[gap + 1]) / 2)


def overlap_threshold(boxes: NDArray[Any], classes: NDArray[Any], low: float = 0.6, high: float = 0.8) -> float:
    """A threshold of suppression in the widest gap between `low` and `high`, for boxes (N, 4) xyxy.

    Libraries move the boxes of class c by some thousands of c in float32, which rounds them to a sixteenth of a pixel,
    so that overlaps near the threshold would fall either way.
    """
    shared = overlaps(boxes, boxes)[(classes[:, np.newaxis] == classes) & ~np.eye(len(boxes), dtype=bool)]
    ranked = np.sort([low, *shared[(shared > low) & (shared < high)], high])
    widest = int(np.diff(ranked).argmax())
    return float(ranked[widest : widest + 2].mean())


def corners(boxes: NDArray[Any]) -> NDArray[Any]:
    """Boxes (N, 4) of center and size as left, top, right, bottom."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
