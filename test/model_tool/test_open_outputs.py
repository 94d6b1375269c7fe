"""Files that leave the lengths of their outputs open, imported as a user does it, in every format that can be so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_ai.backends.loading import BackendChoice
from robot_ai.cli import main as cli
from robot_ai.models.card import ModelCard
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

CLASSES, CELLS = 3, 84  # of a head with strides 8, 16 and 32 over 64x64 pixels


def run(*arguments: object) -> int:
    return cli.main(["model", *map(str, arguments)])


def detect(directory: Path, backend: str) -> Any:
    """What the card finds in a white picture of twice the network's size."""
    detector = ImageDetector.load(BackendChoice(model=str(directory), backend=backend))
    white = np.full((128, 128, 3), 255, np.uint8)
    found = detector.detect([white, white], DetectionSettings()).detections
    detector.close()
    return found


def table() -> Any:
    """A yolov8 head's output with one box, of class 1."""
    rows = np.zeros((1, 4 + CLASSES, CELLS), np.float32)
    rows[0, :4, 5] = (20, 30, 16, 24)
    rows[0, 5, 5] = 0.9
    return rows


def onnx_file(path: Path, shape: list[Any] | None, *, computed: bool, image: list[Any] | None = None) -> Path:
    """An image in, `table` out for a white one, under an output described by `shape`; None: not at all.

    `computed`: the output's lengths are computed from the pixels, so that no one can infer them from the graph.
    """
    onnx: Any = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    helper, value, float_type = onnx.helper, onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    arrays = {"rows": table(), "axis": np.array([3]), "nought": np.float32(0)}
    arrays["sides"] = np.array([-1, 4 + CLASSES, CELLS], np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["mean", "axis"], ["level"]),
        helper.make_node("Mul", ["level", "rows"], ["found"]),
        helper.make_node("ReduceMean", ["images"], ["whole"], keepdims=0),
        helper.make_node("Mul", ["whole", "nought"], ["nothing"]),
        helper.make_node("Add", ["nothing", "sides"], ["real"]),
        helper.make_node("Cast", ["real"], ["lengths"], to=onnx.TensorProto.INT64),
        helper.make_node("Reshape", ["found", "lengths"] if computed else ["found", "fixed"], ["output0"]),
    ]
    arrays["fixed"] = np.array([-1, 4 + CLASSES, CELLS])
    constants = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    inputs, outputs = [value("images", float_type, image or [1, 3, 64, 64])], [value("output0", float_type, shape)]
    graph = helper.make_graph(nodes, "net", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("shape", [["batch", "rows", "cells"], [1, None, None], None])
@pytest.mark.parametrize(
    ("computed", "how"), [(False, "by ONNX' shape inference"), (True, "by running the file on 64x64")]
)
def test_an_onnx_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: list[Any] | None, *, computed: bool, how: str
) -> None:
    file = onnx_file(tmp_path / "a.onnx", shape, computed=computed)
    assert run("import", file, "--output", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert f"lengths that the file leaves open were found {how}" in shown
    assert f"{4 + CLASSES}, {CELLS}) float32" in shown
    card = ModelCard.load(tmp_path / "out")
    assert (card.decoder.type, card.outputs[0].shape) == ("yolov8", (None, 4 + CLASSES, CELLS))
    for found in detect(tmp_path / "out", "onnx"):
        np.testing.assert_allclose(found.xyxy, [[24, 36, 56, 84]], atol=1e-3)


def test_an_onnx_file_that_takes_any_size_needs_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = ["batch", 3, "height", "width"]
    file = onnx_file(tmp_path / "a.onnx", ["batch", "rows", "cells"], computed=True, image=free)
    assert run("import", file, "--output", tmp_path / "out") == 1
    assert "--size WIDTHxHEIGHT" in capsys.readouterr().err
    assert run("import", file, "--output", tmp_path / "out", "--size", "64x64") == 0
    assert [found.names for found in detect(tmp_path / "out", "onnx")] == [["class_1"]] * 2


def test_weights_beside_a_file_that_must_be_run(tmp_path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    model = onnx.load(str(onnx_file(tmp_path / "whole.onnx", None, computed=True)))
    (tmp_path / "split").mkdir()
    file = tmp_path / "split" / "a.onnx"
    onnx.save(model, file, save_as_external_data=True, location="a.data", size_threshold=0)
    assert run("import", file, "--output", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "split").iterdir()} == {"a.onnx", "a.data"}
    assert [found.names for found in detect(tmp_path / "out", "onnx")] == [["class_1"]] * 2


def test_rows_that_depend_on_the_picture_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx: Any = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    helper, value, float_type = onnx.helper, onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["columns"], axes=[1, 2], keepdims=0),
        helper.make_node("NonZero", ["columns"], ["places"]),
        helper.make_node("Cast", ["places"], ["pair"], to=float_type),
        helper.make_node("Concat", ["pair", "pair", "pair"], ["columns_of_six"], axis=0),
        helper.make_node("Transpose", ["columns_of_six"], ["rows"], perm=[1, 0]),
        helper.make_node("Unsqueeze", ["rows", "axis"], ["output0"]),
    ]
    axis = onnx.numpy_helper.from_array(np.array([0]), "axis")
    inputs, outputs = [value("images", float_type, [1, 3, 64, 64])], [value("output0", float_type, [1, "n", 6])]
    graph = helper.make_graph(nodes, "net", inputs, outputs, [axis])
    file = tmp_path / "a.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    (tmp_path / "names.txt").write_text("bolt\nnut\n")
    told = ["--labels", tmp_path / "names.txt", "--decoder", "yolo26"]
    assert run("import", file, "--output", tmp_path / "out", *told) == 1
    assert "(1, any, 6)" in (shown := capsys.readouterr().err)
    assert "a length that depends on the picture: export it with a fixed number of rows" in shown
    assert not (tmp_path / "out").exists()


def test_a_file_with_weights_elsewhere_is_refused_before_it_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights of a branch of the graph, which the list of the file's own weights does not show."""
    onnx: Any = pytest.importorskip("onnx")
    file = onnx_file(tmp_path / "a.onnx", None, computed=True)
    model = onnx.load(str(file))
    (tmp_path / "secret").write_bytes(bytes(8))
    outside = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[2])
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../secret")
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["w"], ["kept"])],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("kept", onnx.TensorProto.FLOAT, [2])],
        [outside],
    )
    truth = onnx.numpy_helper.from_array(np.array(True), "truth")
    model.graph.initializer.append(truth)
    model.graph.node.append(onnx.helper.make_node("If", ["truth"], ["unused"], then_branch=branch, else_branch=branch))
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "a.onnx"
    file.write_bytes(model.SerializeToString())
    assert run("import", file, "--output", tmp_path / "out") == 1
    assert "outside the artifact" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


BOX = (20, 30, 16, 24, 0, 0.9, 0)  # what every cell of the networks below gives: center, size, scores


def test_a_keras_model_and_a_saved_model_that_take_any_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tf = pytest.importorskip("tensorflow")
    image = tf.keras.Input((None, None, 3), name="photo")
    bias = tf.keras.initializers.Constant(BOX)
    layers = [
        tf.keras.layers.Conv2D(7, side, side, bias_initializer=bias, kernel_initializer="zeros") for side in (8, 16, 32)
    ]
    rows = [tf.keras.layers.Reshape((-1, 7))(layer(image)) for layer in layers]
    model = tf.keras.Model(image, tf.keras.layers.Concatenate(axis=1)(rows))
    model.save(tmp_path / "net.keras")
    model.export(tmp_path / "saved", verbose=False)
    (tmp_path / "names.txt").write_text("\n".join(f"class_{number}" for number in range(CLASSES)))
    for name in ("net.keras", "saved"):
        output, told = tmp_path / f"{name}-card", ["--size", "64x64", "--labels", tmp_path / "names.txt"]
        assert run("import", tmp_path / name, "--output", output, *told) == 0
        assert "by running the file on 64x64 pixels" in capsys.readouterr().out
        card = ModelCard.load(output)
        assert (card.decoder.type, card.outputs[0].shape) == ("yolov8", (None, CELLS, 7))
        assert [found.names for found in detect(output, "tensorflow")] == [["class_1"]] * 2


def test_an_exported_program_that_takes_any_size(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Head(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Conv2d(3, 7, side, side) for side in (8, 16, 32))
            for layer in self.layers:
                layer.weight.data.zero_()
                layer.bias.data = torch.tensor(BOX)

        def forward(self, image: Any) -> Any:
            return torch.cat([layer(image).flatten(2) for layer in self.layers], 2)

    sides = {axis: torch.export.Dim(f"side_{axis}", min=1, max=30) * 32 for axis in (2, 3)}
    program = torch.export.export(Head().eval(), (torch.zeros(1, 3, 96, 128),), dynamic_shapes=({**sides},))
    torch.export.save(program, tmp_path / "net.pt2")
    assert run("import", tmp_path / "net.pt2", "--output", tmp_path / "out", "--size", "64x64") == 0
    card = ModelCard.load(tmp_path / "out")
    assert (card.decoder.type, card.outputs[0].shape) == ("yolov8", (None, 7, CELLS))
    assert [found.names for found in detect(tmp_path / "out", "pytorch")] == [["class_1"]] * 2
