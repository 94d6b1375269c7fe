"""The weight converter, on a graph of two convolutions made here."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from robot_ai.models.networks.nanodet_plan import Conv

TOOL = Path(__file__).resolve().parents[2] / "tools" / "convert_nanodet.py"
PLAN = [Conv("first", 3, 4), Conv("second", 4, 2, kernel=1)]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("convert_nanodet", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def graph() -> tuple[dict[str, Any], bytes, dict[str, np.ndarray[Any, Any]]]:
    """A graph in TensorFlow.js' form, its weight file, and the arrays in it."""
    generator = np.random.default_rng(0)
    arrays = {
        "k2": generator.normal(size=(1, 1, 4, 2)).astype(np.float16),
        "shape": np.array([1, 2], np.int32),
        "k1": generator.normal(size=(3, 3, 3, 4)).astype(np.float16),
        "b1": generator.normal(size=4).astype(np.float16),
        "b2": generator.normal(size=2).astype(np.float16),
    }
    entries: list[dict[str, Any]] = []
    for name, array in arrays.items():
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
        if array.dtype == np.float16:
            entry |= {"dtype": "float32", "quantization": {"dtype": "float16"}}
        entries.append(entry)
    nodes = [  # not in their order
        {"name": "convolution_1", "op": "Conv2D", "input": ["x", "k2"]},
        {"name": "add_1", "op": "Add", "input": ["convolution_1", "b2"]},
        {"name": "convolution", "op": "Conv2D", "input": ["image", "k1"]},
        {"name": "add", "op": "Add", "input": ["convolution", "b1"]},
    ]
    manifest = [{"weights": entries[:2]}, {"weights": entries[2:]}]
    data = b"".join(array.tobytes() for array in arrays.values())
    return {"weightsManifest": manifest, "modelTopology": {"node": nodes}}, data, arrays


def convert(tool: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    content, data, _ = graph()
    (folder / "n.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "n.bin").write_bytes(data)
    output = folder / "n.safetensors"
    monkeypatch.setattr(tool, "convolutions", lambda: PLAN)
    monkeypatch.setattr(sys, "argv", ["convert", str(folder / "n.json"), str(folder / "n.bin"), str(output)])
    assert tool.main() == 0
    return output


def test_kernels_are_turned_and_named(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = load_file(convert(tool, tmp_path, monkeypatch))
    arrays = graph()[2]
    assert sorted(tensors) == ["first.bias", "first.weight", "second.bias", "second.weight"]
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float16)}
    np.testing.assert_array_equal(tensors["first.weight"], arrays["k1"].transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(tensors["second.weight"], arrays["k2"].transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(tensors["first.bias"], arrays["b1"])
    np.testing.assert_array_equal(tensors["second.bias"], arrays["b2"])


def test_the_same_input_gives_the_same_bytes(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = convert(tool, tmp_path, monkeypatch).read_bytes()
    assert convert(tool, tmp_path, monkeypatch).read_bytes() == first
    assert "4 tensors, sha256 " in capsys.readouterr().out


def test_a_weight_file_of_another_graph_is_refused(tool: ModuleType) -> None:
    content, data, _ = graph()
    with pytest.raises(SystemExit, match="not a pair"):
        tool.read_convolutions(content, data + b"xx")


def test_a_weight_file_that_is_cut_off_is_refused(tool: ModuleType) -> None:
    content, data, _ = graph()
    with pytest.raises(SystemExit, match="not a pair"):
        tool.read_convolutions(content, data[:-1])


def test_another_network_is_refused(tool: ModuleType) -> None:
    content, data, _ = graph()
    found = tool.read_convolutions(content, data)
    with pytest.raises(SystemExit, match="has 2 convolutions; NanoDet-g has 1"):
        tool.named_tensors(PLAN[:1], found)
    with pytest.raises(SystemExit, match=r"second: kernel \(1, 1, 4, 2\) and bias \(2,\); expected \(1, 1, 4, 5\)"):
        tool.named_tensors([PLAN[0], Conv("second", 4, 5, kernel=1)], found)
