"""A detector that lists its boxes, as the TF Object Detection API exports it: imported, exported, verified, loaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from robot_ai.backends.errors import VerificationError
from robot_ai.backends.loading import BackendChoice
from robot_ai.cli.main import main
from robot_ai.models.artifacts import checksum
from robot_ai.models.card import ModelCard
from robot_ai.models.golden import GoldenSample
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

SIDE, PLACES = 64, 20
EXPORTED = {"tensorflow/saved_model": "tensorflow", "litert": "ai_edge_litert", "onnx": "tf2onnx"}


@pytest.fixture(scope="module", autouse=True)
def frameworks() -> None:
    missing = [module for module in ("tensorflow", *EXPORTED.values(), "skimage") if find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: the converters are in the extra convert, photos in demo")


def write_detector(folder: Path) -> None:
    """A SavedModel with random weights whose own non-maximum suppression fills PLACES slots, best first."""
    import tensorflow as tf

    kernel = tf.constant(np.random.default_rng(5).normal(0, 0.3, (8, 8, 3, 7)).astype(np.float32))
    corners = np.stack(np.meshgrid(np.arange(8), np.arange(8), indexing="ij"), -1).reshape(1, 64, 2)
    centers = tf.constant((corners + 0.5) / 8, tf.float32)

    def padded(values: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        slots = tf.pad(values, [[0, PLACES - found], *([[0, 0]] * (values.shape.rank - 1))])
        return tf.reshape(slots, [1, PLACES, *values.shape[1:]])

    @tf.function(input_signature=[tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, name="input_tensor")])
    def detect(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        head = tf.reshape(tf.nn.conv2d(input_tensor, kernel, 8, "VALID"), [1, 64, 7])
        half = 0.05 + 0.15 * tf.sigmoid(head[..., 2:4])
        middle = centers + 0.05 * tf.tanh(head[..., :2])
        boxes = tf.clip_by_value(tf.concat([middle - half, middle + half], -1), 0, 1)[0]
        scores = tf.sigmoid(head[0, :, 4:])
        best, classes = tf.reduce_max(scores, -1), tf.argmax(scores, -1)
        kept = tf.image.non_max_suppression(boxes, best, PLACES, 0.5, 0.3)
        found = tf.shape(kept)[0]
        return {
            "detection_boxes": padded(tf.gather(boxes, kept), found),
            "detection_classes": padded(tf.cast(tf.gather(classes, kept), tf.float32) + 1, found),
            "detection_scores": padded(tf.gather(best, kept), found),
            "num_detections": tf.reshape(tf.cast(found, tf.float32), [1]),
        }

    module = tf.Module()
    module.detect = detect
    tf.saved_model.save(module, str(folder), signatures={"serving_default": detect})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ssd")
    write_detector(folder / "saved")
    (folder / "labels.txt").write_text("bolt\nnut\nwasher\n", encoding="utf-8")
    imported, output = folder / "imported", folder / "exported"
    told = ["--labels", str(folder / "labels.txt")]
    assert main(["model", "import", str(folder / "saved"), "--output", str(imported), *told]) == 0
    assert ModelCard.load(imported).decoder.type == "ssd"
    formats = "saved_model,tflite,onnx"
    assert main(["model", "export", str(imported), "--to", formats, "--output", str(output)]) == 0
    return output


def detections(card: Path, key: str, photo: NDArray[np.uint8]) -> list[list[float]]:
    detector = ImageDetector.load(BackendChoice(model=str(card), backend=key, threads=1))
    found = detector.detect([photo], DetectionSettings()).detections[0]
    detector.close()
    return np.column_stack([found.xyxy, found.scores, found.class_indices]).tolist()


def test_every_format_has_the_golden_sample_of_the_import(exported: Path, photos: dict[str, NDArray[np.uint8]]) -> None:
    card = ModelCard.load(exported)
    assert {*EXPORTED, "tensorflow", "openvino"} == card.artifacts.keys()
    golden = GoldenSample.load(card)
    assert golden is not None
    assert golden.outputs["count"] > 3
    expected = detections(exported, "tensorflow", photos["coffee"])
    assert len(expected) > 3
    for key in EXPORTED:
        np.testing.assert_allclose(detections(exported, key, photos["coffee"]), expected, atol=1e-2)


def test_verify_finds_them_to_be_one_model_by_a_relative_path(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(exported.parent)
    assert main(["model", "verify", "./exported"]) == 0
    assert "are the same model" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["order", "score"])
def test_an_order_is_no_difference_and_a_score_is(exported: Path, tmp_path: Path, damage: str) -> None:
    """The golden sample as another machine would have made it, and as another model would."""
    card = ModelCard.load(exported)
    sample = GoldenSample.load(card)
    assert sample is not None
    assert card.golden is not None
    count = round(float(sample.outputs["count"].reshape(-1)[0]))
    order = np.r_[np.arange(count)[::-1], np.arange(count, PLACES)]
    outputs = {name: array[:, order] if array.ndim > 1 else array for name, array in sample.outputs.items()}
    if damage == "score":
        outputs["scores"] = outputs["scores"] * 0.9
    file = tmp_path / "golden.safetensors"
    GoldenSample(sample.inputs, outputs).save(file)
    content = yaml.safe_load((exported / "model.yaml").read_text(encoding="utf-8"))
    content["golden"] = {"path": file.name, "sha256": checksum(file)}
    model = exported / str(content["artifacts"]["onnx"]["path"])
    (tmp_path / model.name).write_bytes(model.read_bytes())
    content["artifacts"] = {"onnx": content["artifacts"]["onnx"]}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    choice = BackendChoice(model=str(tmp_path), backend="onnx")
    if damage == "order":
        ImageDetector.load(choice).close()
    else:
        with pytest.raises(VerificationError, match="output 'scores' differs from the golden sample"):
            ImageDetector.load(choice)
