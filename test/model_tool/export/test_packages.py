"""Exports where a package is not installed: told before anything is made, by the name to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny_model

from robot_ai.model_tool.export.errors import ConverterMissingError
from robot_ai.model_tool.export.exporter import ExportRequest, export_model
from robot_ai.model_tool.export.formats import FORMATS, parse_formats
from robot_ai.model_tool.export.packages import needed
from robot_ai.model_tool.export.workshop import FAMILIES


def test_every_format_says_what_it_is_made_with_from_every_family() -> None:
    for item in FORMATS.values():
        for family in FAMILIES.values():
            assert needed(item, family), (item.name, family)
    micro = FORMATS["tflite-micro"]
    assert needed(micro, "tensorflow") == ("tensorflow", "ai_edge_litert")
    assert needed(micro, "tensorflow", has_int8=True) == ("ai_edge_litert",)
    assert set(needed(FORMATS["pt2"], "tensorflow")) >= {"tensorflow", "tf2onnx", "onnx2torch", "torch"}


@pytest.mark.parametrize(
    ("key", "formats", "absent"),
    [
        ("tensorflow/keras", "tflite-int8,tflite-micro", ["ai_edge_litert"]),
        ("tensorflow/keras", "onnx", ["tf2onnx"]),
        ("tensorflow/keras", "torchscript", ["onnx2torch", "torch"]),
        ("pytorch", "torchscript,tflite", ["tensorflow"]),
        ("pytorch", "onnx", ["onnxscript"]),
    ],
)
def test_what_is_missing_is_named_before_anything_is_made(
    key: str, formats: str, absent: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = card_with(key, tmp_path / "tiny")
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    lines: list[str] = []
    with pytest.raises(ConverterMissingError) as caught:
        export_model(ExportRequest(str(model), parse_formats(formats), tmp_path / "out"), lines.append)
    said = f"{formats.rsplit(',', maxsplit=1)[-1]} from '{key}'"
    for word in (said, "pip install -e '.[convert]'", *(f"'{name}'" for name in absent)):
        assert word in str(caught.value)
    assert lines == [], "nothing was begun"


def test_without_any_framework_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = card_with("pytorch", tmp_path / "tiny")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConverterMissingError, match=r"from pytorch, but no framework.*'\.\[convert\]'"):
        export_model(ExportRequest(str(model), parse_formats("onnx"), tmp_path / "out"), print)


def card_with(key: str, folder: Path) -> Path:
    """The tiny model as one artifact; skips where its framework is not installed."""
    for module in tiny_model.NEEDS[key]:
        pytest.importorskip(module, exc_type=ImportError)
    return tiny_model.write_tiny_card(folder, [key])
