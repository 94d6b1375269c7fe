"""Ultralytics' networks, exported by Ultralytics and imported by us: our boxes beside its own.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_networks import (
    SIZE,
    Imported,
    Photos,
    Record,
    Rows,
    compare,
    corners,
    import_file,
    letterboxed,
    liven,
    overlap_threshold,
    prove_export,
    threshold,
    within,
)

# In YOLO heads cv2 gives the sides of the boxes and cv3 the classes; one2one_ is the head that needs no suppression.
LAST = re.compile(r"(one2one_)?(cv[23])\.\d+\.2")


def spread_yolo(torch: Any, network: Any) -> None:
    """Random weights in the head's last layers, so large that boxes differ and some scores pass a threshold."""
    generator = torch.Generator().manual_seed(2)
    # Without bins, as in YOLO26, the layer gives the distances to the sides, which weights that are not trained turn.
    sides = (2, 1.0) if network.model[-1].reg_max > 1 else (0.1, 3.0)
    for name, layer in network.model[-1].named_modules():
        if last := LAST.fullmatch(name):
            with torch.no_grad():
                width, bias = (0.5, -3.0) if last[2] == "cv3" else sides
                layer.weight.normal_(0, width / layer.weight[0].numel() ** 0.5, generator=generator)
                layer.bias.fill_(bias)


def spread_rtdetr(torch: Any, network: Any) -> None:
    """The same for RT-DETR: queries of other places, other boxes, other scores."""
    generator = torch.Generator().manual_seed(2)
    head = network.model[-1]
    for layer in [head.enc_score_head, *head.dec_score_head]:
        with torch.no_grad():
            layer.weight.normal_(0, 0.15, generator=generator)
            layer.bias.fill_(-2.0)
    for layer in [head.enc_bbox_head.layers[-1], *(part.layers[-1] for part in head.dec_bbox_head)]:
        with torch.no_grad():
            layer.weight.normal_(0, 0.05, generator=generator)


def build(ultralytics: Any, torch: Any, name: str, photos: Photos) -> Any:
    torch.manual_seed(1)
    model = (ultralytics.RTDETR if "rtdetr" in name else ultralytics.YOLO)(f"{name}.yaml")
    liven(torch, model.model, photos)
    if "cls" not in name:
        (spread_rtdetr if "rtdetr" in name else spread_yolo)(torch, model.model)
    return model


def export(model: Any, kind: str = "onnx", **options: Any) -> Path:
    if kind == "onnx":
        options |= {"simplify": False}
    return Path(model.export(format=kind, imgsz=SIZE, verbose=False, **options)).absolute()


def export_program(torch: Any, model: Any) -> Path:
    """By PyTorch's own exporter, of sides that may be any multiple of 32."""
    model.model.model[-1].export = True  # without the raw maps beside the result
    sides = {axis: torch.export.Dim(f"side_{axis}", min=2, max=40) * 32 for axis in (2, 3)}
    given = torch.zeros(1, 3, SIZE, 2 * SIZE)
    file = Path("net.pt2").absolute()
    torch.export.save(torch.export.export(model.model.eval(), (given,), dynamic_shapes=(sides,)), file)
    return file


def predicted(ultralytics: Any, file: Path, photo: Any, confidence: float, iou: float = 0.7) -> Rows:
    """Ultralytics' own predictor on the exported file, from the photo to boxes in it."""
    is_rtdetr = "rtdetr" in file.name
    predictor = ultralytics.RTDETR(str(file)) if is_rtdetr else ultralytics.YOLO(str(file), task="detect")
    result = predictor.predict(photo, imgsz=SIZE, conf=confidence, iou=iou, max_det=300, verbose=False)[0]
    boxes = result.boxes
    rows = np.column_stack([boxes.xyxy.numpy(), boxes.conf.numpy(), boxes.cls.numpy()]).astype(np.float32)
    return within(rows, photo.shape[1], photo.shape[0])


def thresholds(table: Any) -> tuple[float, float]:
    """Of the confidence and of the suppression, for a raw head's table (4 + classes, N)."""
    confidence = threshold(table[4:].max(axis=0), 300)
    table = table[:, table[4:].max(axis=0) > confidence]
    return confidence, overlap_threshold(corners(table[:4].T), table[4:].argmax(axis=0))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "onnx") for name in ("yolov8n", "yolo11n", "yolo12n", "yolov9t", "yolov5n")),
        ("yolo11n", "dynamic"),
        ("yolo11n", "torchscript"),
        ("yolo11n", "pt2"),
    ],
)
def test_heads_without_nms(
    *, ultralytics: Any, torch: Any, tmp_path: Path, name: str, kind: str, photos: Photos, record_property: Record
) -> None:
    from ultralytics.utils.nms import non_max_suppression

    model = build(ultralytics, torch, name, photos)
    if kind == "pt2":
        file = export_program(torch, model)
    else:
        file = export(model, dynamic=True) if kind == "dynamic" else export(model, kind)
    told = ["--confidence", "0.01", *(["--size", f"{SIZE}x{SIZE}"] if kind == "pt2" else [])]
    imported = import_file(file, tmp_path / "card", photos["china"], *told)
    assert imported.card.decoder.type == "yolov8"
    for photo, image in photos.items():
        batch = imported.batch(image)
        with torch.inference_mode():
            raw = model.model.eval()(torch.from_numpy(batch))
        raw = raw[0] if isinstance(raw, tuple | list) else raw
        confidence, iou = thresholds(raw[0].numpy())
        reference = non_max_suppression(raw.clone(), confidence, iou, max_det=300)[0].numpy()
        same = imported.decode({"predictions": raw.numpy()}, confidence, iou)
        compare(same, reference, record_property, f"{photo}, the same tensors")
        compare(imported.decode(imported.run(batch), confidence, iou), reference, record_property, f"{photo}, {kind}")
        # Its predictor does not open .pt2, and fits other sides to the photo where the file takes any.
        is_free = kind in ("pt2", "dynamic")
        whole = letterboxed(reference, image) if is_free else predicted(ultralytics, file, image, confidence, iou)
        compare(imported.detect(image, confidence, iou), whole, record_property, f"{photo}, whole")
    imported.detector.close()


def hold_to_the_predictor(ultralytics: Any, imported: Imported, file: Path, photos: Photos, record: Record) -> None:
    """From the photo to boxes in it: Ultralytics' own predictor on the same file, our detector on the imported card."""
    for photo, image in photos.items():
        scores = imported.run(imported.batch(image))["detections"][0, :, 4]
        confidence = threshold(scores, min(100, int((scores > 0).sum()) - 1))
        theirs = predicted(ultralytics, file, image, confidence)
        compare(imported.detect(image, confidence), theirs, record, photo)


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("yolov8n", {"nms": True, "conf": 0.01}),
        ("yolo11n", {"nms": True, "conf": 0.01}),
        ("yolo26n", {"end2end": True}),
        ("yolov10n", {"end2end": True}),
    ],
)
def test_exports_that_choose_their_boxes(
    *,
    ultralytics: Any,
    torch: Any,
    tmp_path: Path,
    name: str,
    options: dict[str, Any],
    kind: str,
    photos: Photos,
    record_property: Record,
) -> None:
    file = export(build(ultralytics, torch, name, photos), kind, **options)
    imported = import_file(file, tmp_path / "card", photos["china"], "--confidence", "0.02")
    assert imported.card.decoder.type == "yolo26"
    assert imported.card.decoder.options == {}
    hold_to_the_predictor(ultralytics, imported, file, photos, record_property)
    if kind == "onnx":
        prove_export(imported.card, tmp_path / "exported")


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_rt_detr(
    *, ultralytics: Any, torch: Any, tmp_path: Path, kind: str, photos: Photos, record_property: Record
) -> None:
    file = export(build(ultralytics, torch, "yolov8-rtdetr", photos), kind)
    imported = import_file(file, tmp_path / "card", photos["china"], "--confidence", "0.02")
    assert imported.card.decoder.type == "yolo26"
    assert imported.card.decoder.options == {"normalized": True, "box_order": "cxcywh"}
    assert imported.card.inputs[0].resize == "stretch"
    hold_to_the_predictor(ultralytics, imported, file, photos, record_property)


def test_rt_detr_as_before_may_2026(
    *, ultralytics: Any, torch: Any, tmp_path: Path, photos: Photos, record_property: Record
) -> None:
    """Its head can still be told to give a row of scores per query."""
    model = build(ultralytics, torch, "yolov8-rtdetr", photos)
    head = model.model.model[-1]
    head.postprocess = lambda boxes, scores: torch.cat([boxes, scores], dim=-1)
    file = export(model)
    imported = import_file(file, tmp_path / "card", photos["china"], "--confidence", "0.02")
    assert imported.card.decoder.type == "yolov8"
    for photo, image in photos.items():
        with torch.inference_mode():
            table = torch.from_numpy(imported.run(imported.batch(image))["predictions"])[0]
        scores, classes = table[:, 4:].max(dim=1)
        confidence = threshold(scores.numpy(), 100)
        kept = scores > confidence
        sides = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
        boxes = corners(table[kept, :4].numpy()) * sides
        reference = within(
            np.column_stack([boxes, scores[kept], classes[kept]]).astype(np.float32), image.shape[1], image.shape[0]
        )
        compare(imported.detect(image, confidence), reference, record_property, photo)
