"""The names that `--to` takes."""

from __future__ import annotations

import pytest

from robot_ai.model_tool.export.errors import UnknownFormatError
from robot_ai.model_tool.export.formats import FORMATS, parse_formats


def test_formats_come_in_the_order_in_which_they_are_made() -> None:
    assert [item.name for item in parse_formats("tflite-micro, onnx,tflite-int8")] == [
        "onnx",
        "tflite-int8",
        "tflite-micro",
    ]
    assert [item.name for item in parse_formats("all")] == list(FORMATS)


@pytest.mark.parametrize(("text", "word"), [("onxx", "onnx"), ("", "no format"), ("all,onnx", "all")])
def test_an_unknown_format_is_refused_with_a_hint(text: str, word: str) -> None:
    with pytest.raises(UnknownFormatError, match=word):
        parse_formats(text)
