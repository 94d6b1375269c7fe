"""Model files turned into cards by the command, run as a user runs it, and the cards loaded and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_ai.backends.loading import BackendChoice
from robot_ai.cli import main as cli
from robot_ai.model_tool.importing.labels import read_labels, usable, without_background
from robot_ai.models.card import ModelCard
from robot_ai.models.golden import GoldenSample
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

onnx: Any = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")
helper, FLOAT, INT64 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **arrays: Any) -> Path:
    constants = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def yolo_file(path: Path, classes: int = 3, score: float = 0.9, box: tuple[float, ...] = (20, 30, 16, 24)) -> Path:
    """One 64x64 image in, 84 columns of a yolov8 head out: a bright picture gives one box of class 1, in cell 5."""
    rows = np.zeros((1, 4 + classes, 84), np.float32)
    rows[0, :4, 5] = box
    rows[0, 5, 5] = score
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["mean", "axis"], ["level"]),
        helper.make_node("Mul", ["level", "rows"], ["output0"]),
    ]
    value = helper.make_tensor_value_info
    inputs, outputs = [value("images", FLOAT, [1, 3, 64, 64])], [value("output0", FLOAT, [1, 4 + classes, 84])]
    return save(path, nodes, inputs, outputs, rows=rows, axis=np.array([3]))


def run(*arguments: object) -> int:
    return cli.main(["model", *map(str, arguments)])


def bright() -> Any:
    return np.full((128, 128, 3), 255, np.uint8)


def test_a_file_becomes_a_card_that_detects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "names.txt"
    labels.write_text("bolt\nnut\nwasher\n")
    assert run("import", yolo_file(tmp_path / "best.onnx"), "--output", tmp_path / "parts", "--labels", labels) == 0
    shown = capsys.readouterr().out
    assert "images (1, 3, 64, 64) float32" in shown
    assert "decoder    yolov8  (7 columns are 4 and 3 classes" in shown
    card = ModelCard.load(tmp_path / "parts")
    assert (card.name, card.labels, card.decoder.type) == ("parts", ("bolt", "nut", "washer"), "yolov8")
    assert (card.inputs[0].color, card.inputs[0].std, card.inputs[0].resize) == ("rgb", (255, 255, 255), "letterbox")
    golden = GoldenSample.load(card)
    assert golden is not None
    assert golden.outputs["predictions"].shape == (1, 7, 84)
    detector = ImageDetector.load(BackendChoice(model=str(tmp_path / "parts"), backend="onnx"))
    found = detector.detect([bright()] * 3, DetectionSettings()).detections
    detector.close()
    assert [detections.names for detections in found] == [["nut"]] * 3
    # Twice the size of the network's input.
    np.testing.assert_allclose(found[2].xyxy, [[24, 36, 56, 84]], atol=1e-3)
    assert run("info", tmp_path / "parts") == 0
    assert "best" not in capsys.readouterr().out.split("source")[0]


def test_what_is_told_goes_before_every_guess(tmp_path: Path) -> None:
    told = ["--color", "bgr", "--mean", "0,1,2", "--std", "255", "--resize", "stretch"]
    told += ["--confidence", "0.5", "--iou", "0.4", "--max-detections", "7", "--option", "multi_label=true"]
    told += ["--name", "bolts", "--version", "2", "--license", "MIT", "--source", "factory"]
    assert run("import", yolo_file(tmp_path / "a.onnx"), "--output", tmp_path / "out", *told) == 0
    card = ModelCard.load(tmp_path / "out")
    image = card.inputs[0]
    assert (image.color, image.mean, image.std, image.resize) == ("bgr", (0, 1, 2), (255, 255, 255), "stretch")
    assert (card.thresholds.confidence, card.thresholds.iou, card.thresholds.max_detections) == (0.5, 0.4, 7)
    assert (card.name, card.version, card.license, card.source) == ("bolts", "2", "MIT", "factory")
    assert card.decoder.options == {"multi_label": True}
    assert card.labels == ("class_0", "class_1", "class_2")


def test_a_photo_is_checked_and_becomes_the_golden_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "white.png"), bright())
    file = yolo_file(tmp_path / "a.onnx")
    assert run("import", file, "--output", tmp_path / "out", "--check", tmp_path / "white.png") == 0
    shown = capsys.readouterr().out
    assert (
        "1 detections of at least 0.35 in the photo of 128x128 pixels\n  class_1 0.900  24.0, 36.0, 56.0, 84.0" in shown
    )
    golden = GoldenSample.load(ModelCard.load(tmp_path / "out"))
    assert golden is not None
    assert golden.inputs["image"].min() == 1


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = yolo_file(tmp_path / "a.onnx")
    assert run("import", file, "--dry-run") == 0
    assert "yolov8" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (["--decoder", "detr"], "the outputs do not fit decoder 'detr'"),
        (["--layout", "NHWC"], "Expected one batch of images"),
        (["--size", "32x32"], "the file is fixed to 64x64"),
        (["--tensor", "predictions=nothing"], "--tensor names the output nothing"),
        (["--option", "strides=[8]"], "no option strides"),
        (["--labels", "/no/such/file"], "is no file and no model"),
        (["--mean", "1,2"], "--mean has 2 numbers"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], told: list[str], message: str
) -> None:
    file = yolo_file(tmp_path / "a.onnx")
    assert run("import", file, "--output", tmp_path / "out", *told) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]


def test_a_model_whose_output_is_no_number_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = yolo_file(tmp_path / "a.onnx", score=float("nan"))
    assert run("import", file, "--output", tmp_path / "out") == 1
    assert "NaN" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_boxes_in_parts_taken_for_pixels_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = yolo_file(tmp_path / "a.onnx")
    assert run("import", file, "--output", tmp_path / "out", "--option", "normalized=true") == 1
    assert "Give --option normalized=false" in capsys.readouterr().err
    assert run("import", yolo_file(file, box=(0.3, 0.5, 0.2, 0.2)), "--output", tmp_path / "out") == 1
    assert "Give --option normalized=true" in capsys.readouterr().err
    assert run("import", file, "--output", tmp_path / "out", "--option", "normalized=true") == 0


def test_centers_and_sizes_taken_for_corners_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.array([[[40, 30, 16, 24, 0.9, 1], [20, 50, 8, 8, 0.5, 0], [0, 0, 0, 0, 0, 0]]], np.float32)
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("ReduceMin", ["images"], ["least"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["least", "axis"], ["nought"]),
        helper.make_node("Mul", ["nought", "none"], ["nothing"]),
        helper.make_node("Add", ["nothing", "rows"], ["output0"]),
    ]
    arrays = {"rows": rows, "axis": np.array([3]), "none": np.float32(0)}
    image, output = value("images", FLOAT, [1, 3, 64, 64]), value("output0", FLOAT, [1, 3, 6])
    file = save(tmp_path / "a.onnx", nodes, [image], [output], **arrays)
    labels = tmp_path / "names.txt"
    labels.write_text("bolt\nnut\n")
    told = ["--labels", labels, "--output", tmp_path / "out"]
    assert run("import", file, *told) == 1
    assert "2 of 2 then end before they begin" in (shown := capsys.readouterr().err)
    assert "Give --option box_order=cxcywh" in shown
    assert run("import", file, *told[:2], "--output", tmp_path / "corners", "--option", "box_order=xyxy") == 0
    assert run("import", file, *told, "--option", "box_order=cxcywh") == 0
    detector = ImageDetector.load(BackendChoice(model=str(tmp_path / "out"), backend="onnx"))
    found = detector.detect([bright()], DetectionSettings()).detections[0]
    detector.close()
    assert found.names == ["nut", "bolt"]
    np.testing.assert_allclose(found.xyxy, [[64, 36, 96, 84], [32, 92, 48, 108]], atol=1e-3)


def detr_file(path: Path, columns: int) -> Path:
    """One 64x64 image in, two queries with a box and logits out."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["mean", "axis"], ["level"]),
        helper.make_node("Mul", ["level", "nought"], ["nothing"]),
        helper.make_node("Add", ["nothing", "scored"], ["logits"]),
        helper.make_node("Add", ["nothing", "placed"], ["pred_boxes"]),
    ]
    arrays = {"axis": np.array([3]), "nought": np.float32(0), "scored": np.zeros((1, 2, columns), np.float32)}
    placed = np.full((1, 2, 4), 0.5, np.float32)
    outputs = [value("logits", FLOAT, [1, 2, columns]), value("pred_boxes", FLOAT, [1, 2, 4])]
    return save(path, nodes, [value("pixels", FLOAT, [1, 3, 64, 64])], outputs, placed=placed, **arrays)


def test_whether_a_detr_ends_in_no_object_must_be_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The wrong guess would leave every score near nought, or give "no object" as a class, and not fail."""
    file, out = detr_file(tmp_path / "a.onnx", 4), tmp_path / "out"
    assert run("import", file, "--output", out) == 1
    assert "nothing tells whether its 4 logits are 4 classes with a sigmoid" in capsys.readouterr().err
    for activation, classes in (("sigmoid", 4), ("softmax", 3)):
        told = tmp_path / activation
        assert run("import", file, "--output", told, "--option", f"activation={activation}") == 0
        card = ModelCard.load(told)
        assert (len(card.labels), card.decoder.options) == (classes, {"activation": activation})
        names = tmp_path / f"{activation}.txt"
        names.write_text("\n".join("abcd"[:classes]))
        assert run("import", file, "--output", tmp_path / f"{activation} by labels", "--labels", names) == 0
        assert ModelCard.load(tmp_path / f"{activation} by labels").decoder == card.decoder


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    assert run("import", yolo_file(tmp_path / "a.onnx"), "--output", tmp_path / "out") == 1
    assert "is there already" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine"]


def test_weights_beside_an_onnx_file_are_brought_in(tmp_path: Path) -> None:
    model = onnx.load(str(yolo_file(tmp_path / "whole.onnx")))
    (tmp_path / "split").mkdir()
    file = tmp_path / "split" / "a.onnx"
    onnx.save(model, file, save_as_external_data=True, location="a.data", size_threshold=0)
    assert run("import", file, "--output", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.yaml", "golden.safetensors", "out.onnx"}


@pytest.mark.parametrize(("batched", "found"), [(False, 2), (True, 2), (False, 400)])
def test_torchvision_outputs_get_a_batch_and_a_length(tmp_path: Path, batched: bool, found: int) -> None:
    value = helper.make_tensor_value_info
    shape = [1, 3, 64, 64] if batched else [3, 64, 64]
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["level"], keepdims=0),
        helper.make_node("Mul", ["level", "s"], ["scores"]),
        helper.make_node("Identity", ["b"], ["boxes"]),
        helper.make_node("Identity", ["k"], ["labels"]),
    ]
    outputs = [value("boxes", FLOAT, ["n", 4]), value("labels", INT64, ["n"]), value("scores", FLOAT, ["n"])]
    boxes = np.tile(np.array([[8, 8, 24, 40]], np.float32), (found, 1))
    arrays = {"b": boxes, "k": np.full(found, 2), "s": np.linspace(0.9, 0.5, found, dtype=np.float32)}
    file = save(tmp_path / "a.onnx", nodes, [value("images", FLOAT, shape)], outputs, **arrays)
    (tmp_path / "names.txt").write_text("__background__\ncat\ndog\n")
    assert run("import", file, "--output", tmp_path / "out", "--labels", tmp_path / "names.txt") == 0
    detector = ImageDetector.load(BackendChoice(model=str(tmp_path / "out"), backend="onnx"))
    settings = DetectionSettings(max_detections=1000)
    result = detector.detect([bright(), bright()], settings).detections
    detector.close()
    assert [set(detections.names) for detections in result] == [{"dog"}, {"dog"}]
    assert [len(detections) for detections in result] == [min(found, 300)] * 2
    np.testing.assert_allclose(result[0].xyxy[0], [16, 16, 48, 80], atol=1e-3)


def test_probabilities_taken_for_logits_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["chances"]),
        helper.make_node("Identity", ["chances"], ["out"]),
    ]
    image, out = value("images", FLOAT, ["n", 3, 32, 32]), value("out", FLOAT, ["n", 3])
    file = save(tmp_path / "a.onnx", nodes, [image], [out])
    assert run("import", file, "--output", tmp_path / "out") == 1
    assert "--option activation=none" in capsys.readouterr().err
    assert run("import", file, "--output", tmp_path / "out", "--option", "activation=none") == 0
    card = ModelCard.load(tmp_path / "out")
    assert (card.task, card.decoder.type) == ("classification", "classification")


def test_torchscript_and_an_exported_program(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    image = torch.zeros(1, 3, 32, 32)
    torch.jit.trace(model, image).save(str(tmp_path / "net.pt"))
    torch.export.save(torch.export.export(model, (image,)), tmp_path / "net.pt2")
    assert run("import", tmp_path / "net.pt", "--output", tmp_path / "script", "--size", "32x32") == 0
    assert run("import", tmp_path / "net.pt2", "--output", tmp_path / "program") == 0
    for folder in ("script", "program"):
        card = ModelCard.load(tmp_path / folder)
        assert (card.decoder.type, len(card.labels), card.inputs[0].layout) == ("classification", 4, "NCHW")
        detector = ImageDetector.load(BackendChoice(model=str(tmp_path / folder), backend="pytorch"))
        assert len(detector.detect([bright()] * 2, DetectionSettings(confidence=0)).detections) == 2
        detector.close()


def test_a_torchscript_file_needs_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    torch.jit.trace(torch.nn.Conv2d(3, 4, 3).eval(), torch.zeros(1, 3, 32, 32)).save(str(tmp_path / "net.pt"))
    assert run("import", tmp_path / "net.pt", "--dry-run") == 1
    assert "--size WIDTHxHEIGHT" in capsys.readouterr().err


def test_keras_saved_model_and_tflite(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert", reason="needs the extra litert")
    image = tf.keras.Input((32, 32, 3), name="photo")
    pooled = tf.keras.layers.GlobalAveragePooling2D()(tf.keras.layers.Conv2D(8, 3)(image))
    model = tf.keras.Model(image, tf.keras.layers.Dense(5, activation="softmax")(pooled))
    model.save(tmp_path / "net.keras")
    model.export(tmp_path / "saved", verbose=False)
    lite = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    (tmp_path / "net.tflite").write_bytes(lite)
    for name, backend in (("net.keras", "tensorflow"), ("saved", "tensorflow"), ("net.tflite", "litert")):
        output, told = tmp_path / f"{name}-card", ["--option", "activation=none"]
        assert run("import", tmp_path / name, "--output", output, *told) == 0
        card = ModelCard.load(output)
        assert list(card.artifacts) == [backend]
        assert (card.inputs[0].layout, len(card.labels)) == ("NHWC", 5)
        assert card.golden is not None


def test_info_of_a_file_and_of_a_damaged_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = yolo_file(tmp_path / "a.onnx")
    assert run("info", file) == 0
    assert "output0 (1, 7, 84) float32" in capsys.readouterr().out
    assert run("import", file, "--output", tmp_path / "out") == 0
    (tmp_path / "out" / "out.onnx").write_bytes(file.read_bytes() + b"\0")
    capsys.readouterr()
    assert run("info", tmp_path / "out") == 1
    assert "The file is damaged or was replaced" in capsys.readouterr().out


def test_labels_in_every_form(tmp_path: Path) -> None:
    forms = {
        "lines.txt": "cat\n\ndog\n\n",
        "list.json": '["cat", "", "dog"]',
        "numbers.yaml": "{0: cat, 2: dog}",
        "data.yaml": "train: x\nnames: {0: cat, 1: '', 2: dog}\n",
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        assert usable(read_labels(str(tmp_path / name))) == ("cat", "unused_1", "dog"), name
    assert read_labels("nanodet_g")[0] == "person"
    assert usable(["a", "N/A", "a", "N/A"]) == ("a", "unused_1", "a_2", "unused_3")
    assert without_background(["__background__", "cat"]) == ["cat"]
