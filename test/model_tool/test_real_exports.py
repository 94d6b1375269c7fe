"""Networks of Ultralytics and torchvision, exported by themselves, imported by us: our boxes beside the libraries' own.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real. Both libraries are
optional and not among the project's own: docs/import.md says how to run this where they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from robot_ai.backends.loading import BackendChoice
from robot_ai.cli.main import main
from robot_ai.model_tool.importing.overrides import Overrides
from robot_ai.model_tool.importing.plan import make_plan
from robot_ai.model_tool.importing.write import write_model
from robot_ai.model_tool.inspection.formats import inspect_model
from robot_ai.models.card import ModelCard
from robot_ai.perception.nms import suppress
from robot_ai.perception.preprocess import ImagePreprocessor
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

SIZE = 320
LEAST_OVERLAP, MOST_SCORE_DIFFERENCE = 0.99, 1e-3
Photos = dict[str, NDArray[np.uint8]]
Rows = NDArray[np.float32]  # left, top, right, bottom, score, class


def overlaps(first: Rows, second: Rows) -> NDArray[np.float64]:
    a, b = first[:, np.newaxis, :4].astype(np.float64), second[np.newaxis, :, :4].astype(np.float64)
    shared = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - shared
    return shared / np.maximum(union, 1e-9)


def compare(ours: Rows, theirs: Rows, record: Callable[[str, object], None], what: str) -> None:
    """Every box has its partner of the same class; holds their overlap and scores to the bars."""
    assert len(theirs) >= 5, "the reference found too little to compare"
    assert len(ours) == len(theirs)
    overlap = overlaps(theirs, ours) * (theirs[:, np.newaxis, 5] == ours[np.newaxis, :, 5])
    overlap[np.abs(theirs[:, np.newaxis, 4] - ours[np.newaxis, :, 4]) > MOST_SCORE_DIFFERENCE] = 0
    partners = overlap.argmax(axis=1)
    assert len(set(partners.tolist())) == len(theirs)
    least = float(overlap.max(axis=1).min())
    apart = float(np.abs(theirs[:, 4] - ours[partners, 4]).max())
    record(what, f"{len(theirs)} boxes, IoU >= {least:.6f}, score difference <= {apart:.2e}")
    assert least >= LEAST_OVERLAP
    assert apart <= MOST_SCORE_DIFFERENCE


def decoded(card: ModelCard, outputs: dict[str, NDArray[Any]], confidence: float) -> Rows:
    """Our boxes in network pixels, after the suppression."""
    found = suppress(card.create_decoder().decode(outputs, 0, confidence), card.thresholds.iou, 300)
    columns = [found.xyxy, found.scores, found.class_indices]
    return np.column_stack(columns).astype(np.float32)


def batch_of(card: ModelCard, photo: NDArray[np.uint8]) -> NDArray[Any]:
    batch, _ = ImagePreprocessor(card.inputs[0])([photo])
    return batch.copy()


def import_file(file: Path, output: Path, **told: Any) -> ModelCard:
    write_model(make_plan(inspect_model(file), Overrides(**told)), output)
    return ModelCard.load(output)


def prove_export(card: ModelCard, output: Path) -> None:
    """Exported, the model has the import's golden sample, and another runtime gives the same list of boxes."""
    assert card.golden is not None
    assert main(["model", "export", str(card.directory), "--to", "onnx", "--output", str(output)]) == 0
    exported = ModelCard.load(output)
    assert exported.golden is not None
    assert {"onnx", "openvino"} <= exported.artifacts.keys()
    assert main(["model", "verify", str(output)]) == 0
    for key in ("onnx", "openvino"):
        ImageDetector.load(BackendChoice(model=str(output), backend=key)).close()


def run_onnx(card: ModelCard, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The imported file through our own backend."""
    detector = ImageDetector.load(BackendChoice(model=str(card.directory), backend="onnx"))
    outputs = dict(detector._backend.infer({"image": batch}))
    detector.close()
    return outputs


@pytest.fixture
def ultralytics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("YOLO_AUTOINSTALL", "0")
    monkeypatch.setenv("YOLO_OFFLINE", "1")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    module = pytest.importorskip(
        "ultralytics", reason="ultralytics is not installed: docs/import.md says how to run this"
    )
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    return module


@pytest.fixture
def torchvision() -> Any:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:  # RuntimeError: a build for another PyTorch
        pytest.skip(f"torchvision cannot be imported ({error}): docs/import.md says how to run this")
    if not torchvision.extension._has_ops():
        pytest.skip("torchvision's operators do not fit this PyTorch: docs/import.md says how to run this")
    return torchvision


def liven(torch: Any, network: Any, photos: Photos) -> None:
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
        network(batch)
    network.eval()


def spread_yolo(torch: Any, network: Any, seed: int) -> None:
    """Random weights in the head's last layers, so large that boxes differ and some scores pass a threshold."""
    generator = torch.Generator().manual_seed(seed)
    for name, layer in network.model[-1].named_modules():
        # cv2 gives the sides of the boxes, cv3 the classes; one2one_ is the head that needs no suppression.
        if last := re.fullmatch(r"(one2one_)?(cv[23])\.\d+\.2", name):
            with torch.no_grad():
                width = (0.5 if last[2] == "cv3" else 2) / layer.weight[0].numel() ** 0.5
                layer.weight.normal_(0, width, generator=generator)
                layer.bias.fill_(-3.0 if last[2] == "cv3" else 1.0)


def threshold(scores: NDArray[Any], most: int) -> float:
    """A threshold that lets at most `most` scores pass, in the widest gap, so that rounding moves none across it."""
    ranked = np.sort(scores.reshape(-1).astype(np.float64))[::-1][: most + 1]
    low = len(ranked) // 2
    gap = low + int((ranked[low:-1] - ranked[low + 1 :]).argmax())
    return float((ranked[gap] + ranked[gap + 1]) / 2)


def overlap_threshold(table: NDArray[Any], confidence: float) -> float:
    """A threshold of suppression in the widest gap: Ultralytics moves the boxes of class c by 7680 c in float32, which
    rounds them to a sixteenth of a pixel, so that overlaps near the threshold would fall either way."""
    table = table[:, table[4:].max(axis=0) > confidence]
    classes, half = table[4:].argmax(axis=0), table[2:4] / 2
    boxes = np.concatenate([table[:2] - half, table[:2] + half]).T
    shared = overlaps(boxes, boxes)[(classes[:, np.newaxis] == classes) & ~np.eye(len(boxes), dtype=bool)]
    ranked = np.sort([0.6, *shared[(shared > 0.6) & (shared < 0.8)], 0.8])
    widest = int(np.diff(ranked).argmax())
    return float(ranked[widest : widest + 2].mean())


def export_yolo(ultralytics: Any, name: str, photos: Photos, **options: Any) -> tuple[Any, Path]:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    model = ultralytics.YOLO(f"{name}.yaml")
    liven(torch, model.model, photos)
    spread_yolo(torch, model.model, 2)
    return model, Path(model.export(format="onnx", imgsz=SIZE, simplify=False, verbose=False, **options)).absolute()


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolov5n"])
def test_ultralytics_heads_without_nms(
    ultralytics: Any, tmp_path: Path, name: str, photos: Photos, record_property: Callable[[str, object], None]
) -> None:
    import torch
    from ultralytics.utils.nms import non_max_suppression

    model, file = export_yolo(ultralytics, name, photos)
    card = import_file(file, tmp_path / "card")
    assert card.decoder.type == "yolov8"
    for photo, image in photos.items():
        batch = batch_of(card, image)
        with torch.inference_mode():
            raw = model.model.eval()(torch.from_numpy(batch))
        raw = raw[0] if isinstance(raw, tuple | list) else raw
        confidence = threshold(raw[0, 4:].amax(dim=0).numpy(), 300)
        iou = overlap_threshold(raw[0].numpy(), confidence)
        card = replace(card, thresholds=replace(card.thresholds, iou=iou))
        reference = non_max_suppression(raw.clone(), confidence, iou, max_det=300)[0].numpy()
        compare(decoded(card, {"predictions": raw.numpy()}, confidence), reference, record_property, f"{photo} torch")
        compare(decoded(card, run_onnx(card, batch), confidence), reference, record_property, f"{photo} onnx")


@pytest.mark.parametrize(
    ("name", "options"), [("yolov8n", {"nms": True, "conf": 0.01}), ("yolo26n", {"end2end": True})]
)
def test_ultralytics_exports_with_nms_on_whole_photos(
    *,
    ultralytics: Any,
    tmp_path: Path,
    name: str,
    options: dict[str, Any],
    photos: Photos,
    record_property: Callable[[str, object], None],
) -> None:
    """From the photo to boxes in it: Ultralytics' own predictor on the same file, our detector on the imported card."""
    _, file = export_yolo(ultralytics, name, photos, **options)
    card = import_file(file, tmp_path / "card")
    assert card.decoder.type == "yolo26"
    prove_export(card, tmp_path / "exported")
    predictor = ultralytics.YOLO(str(file), task="detect")
    detector = ImageDetector.load(BackendChoice(model=str(card.directory), backend="onnx"))
    for photo, image in photos.items():
        scores = run_onnx(card, batch_of(card, image))["detections"][0, :, 4]
        confidence = threshold(scores, min(100, int((scores > 0).sum()) - 1))
        boxes = predictor.predict(image, imgsz=SIZE, conf=confidence, max_det=300, verbose=False)[0].boxes
        found = detector.detect([image], DetectionSettings(confidence, max_detections=300)).detections[0]
        reference = np.column_stack([boxes.xyxy.numpy(), boxes.conf.numpy(), boxes.cls.numpy()])
        # A box outside the photo, in the letterbox's border, is none for us.
        reference = reference[(reference[:, 2:4] > reference[:, :2]).all(axis=1)]
        ours = np.column_stack([found.xyxy, found.scores, found.class_indices]).astype(np.float32)
        compare(ours, reference, record_property, photo)
    detector.close()


def spread_torchvision(torch: Any, network: Any, spread: float) -> None:
    """Random weights in the classifier, so large that scores differ and some pass torchvision's own threshold."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in network.named_parameters():
        heads = ("classification_head", "box_predictor.cls_score", "head.classification")
        if name.endswith("weight") and parameter.ndim > 1 and any(head in name for head in heads):
            with torch.no_grad():
                parameter.normal_(0, spread / parameter[0].numel() ** 0.5, generator=generator)


@pytest.mark.parametrize(
    ("name", "spread"), [("ssdlite320_mobilenet_v3_large", 2.5), ("fasterrcnn_mobilenet_v3_large_320_fpn", 20)]
)
def test_torchvision_detectors(
    *,
    torchvision: Any,
    tmp_path: Path,
    name: str,
    spread: float,
    photos: Photos,
    record_property: Callable[[str, object], None],
) -> None:
    import torch

    torch.manual_seed(1)
    network = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None).eval()
    liven(torch, network, photos)
    spread_torchvision(torch, network, spread)
    file = tmp_path / f"{name}.onnx"
    torch.onnx.export(network, ([torch.rand(3, SIZE, SIZE)],), str(file), dynamo=False, opset_version=17)
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(["__background__", *(f"thing {number}" for number in range(1, 91))]))
    card = import_file(file, tmp_path / "card", labels=str(labels))
    assert card.decoder.type == "torchvision"
    prove_export(card, tmp_path / "exported")
    for photo, image in photos.items():
        batch = batch_of(card, image)
        with torch.inference_mode():
            result = network([torch.from_numpy(batch[0])])[0]
        confidence = threshold(result["scores"].numpy(), min(60, len(result["scores"]) - 1))
        kept = result["scores"] >= confidence
        columns = [result["boxes"][kept].numpy(), result["scores"][kept].numpy(), result["labels"][kept].numpy() - 1]
        reference = np.column_stack(columns).astype(np.float32)
        outputs = {key: result[key].numpy()[np.newaxis] for key in ("boxes", "labels", "scores")}
        compare(decoded(card, outputs, confidence), reference, record_property, f"{photo} torch")
        compare(decoded(card, run_onnx(card, batch), confidence), reference, record_property, f"{photo} onnx")
