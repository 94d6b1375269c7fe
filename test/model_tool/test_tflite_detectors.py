"""TensorFlow Lite detectors that end in TFLite's own operator, whose outputs have no shapes and no telling names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_ai.backends.loading import BackendChoice, load_backend
from robot_ai.cli import main as cli
from robot_ai.models.card import ModelCard
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

SLOTS, CLASSES = 4, 3
ATTRIBUTES = (
    'name: "TFLite_Detection_PostProcess" '
    f'attr {{ key: "max_detections" value {{ i: {SLOTS} }} }} '
    'attr { key: "max_classes_per_detection" value { i: 1 } } attr { key: "use_regular_nms" value { b: false } } '
    'attr { key: "nms_score_threshold" value { f: 0.1 } } attr { key: "nms_iou_threshold" value { f: 0.5 } } '
    'attr { key: "y_scale" value { f: 1 } } attr { key: "x_scale" value { f: 1 } } '
    'attr { key: "h_scale" value { f: 1 } } attr { key: "w_scale" value { f: 1 } } '
    f'attr {{ key: "num_classes" value {{ i: {CLASSES} }} }}'
)
# Center y, center x, height, width in parts; the second is class 2 in a white picture, and no other is anything.
ANCHORS = np.array([[0.2, 0.2, 0.2, 0.2], [0.5, 0.6, 0.4, 0.2], [0.8, 0.8, 0.2, 0.2]], np.float32)


def lite_file(path: Path, turned: bool) -> Path:
    """A detector as the TF Object Detection API exports it; `turned`: with the outputs in TensorFlow 2's order."""
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert", reason="needs the extra litert")

    @tf.function(experimental_implements=ATTRIBUTES)  # type: ignore[misc]
    def detection(boxes: Any, scores: Any, anchors: Any) -> Any:
        return tuple(tf.constant(0.0, name=name) for name in ("boxes", "classes", "scores", "count"))

    @tf.function(input_signature=[tf.TensorSpec((1, 32, 32, 3), tf.float32)])  # type: ignore[misc]
    def network(image: Any) -> Any:
        level = tf.reduce_mean(image)
        scored = np.zeros((1, 3, CLASSES + 1), np.float32)  # the first column is the background's
        scored[0, 1, 3] = 0.8
        found = detection(level * np.zeros((1, 3, 4), np.float32), level * scored, tf.constant(ANCHORS))
        return found[::-1] if turned else found

    module = tf.Module()
    module.network = network
    saved = path.with_suffix("")
    tf.saved_model.save(module, str(saved), signatures=network.get_concrete_function())
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert())
    return path


@pytest.mark.parametrize("turned", [False, True])
def test_the_operator_tells_what_its_outputs_are(tmp_path: Path, turned: bool) -> None:
    file = lite_file(tmp_path / "a.tflite", turned)
    (tmp_path / "names.txt").write_text("bolt\nnut\nwasher\n")
    told = ["--labels", tmp_path / "names.txt", "--mean", "0", "--std", "255"]
    assert cli.main(["model", "import", str(file), "--output", str(tmp_path / "out"), *map(str, told)]) == 0
    card = ModelCard.load(tmp_path / "out")
    assert card.decoder.type == "ssd"
    assert card.decoder.options == {"first_class": 0}
    assert {spec.name: spec.shape for spec in card.outputs} == {
        "boxes": (None, SLOTS, 4),
        "classes": (None, SLOTS),
        "scores": (None, SLOTS),
        "count": (None,),
    }
    detector = ImageDetector.load(BackendChoice(model=str(tmp_path / "out"), backend="litert"))
    found = detector.detect([np.full((64, 64, 3), 255, np.uint8)], DetectionSettings()).detections[0]
    detector.close()
    assert found.names == ["washer"]
    _, backend = load_backend(BackendChoice(model=str(tmp_path / "out"), backend="litert"))
    outputs = backend.infer({"image": np.ones((1, 32, 32, 3), np.float32)})
    backend.close()
    # Behind its count the operator leaves what lay in memory, NaN among it.
    assert outputs["count"] == 1
    assert not any(outputs[name][:, 1:].any() for name in ("boxes", "classes", "scores"))
    np.testing.assert_allclose(found.xyxy, [[32, 19.2, 44.8, 44.8]], atol=1e-3)
