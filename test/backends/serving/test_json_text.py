"""JSON of arrays, with orjson and without."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from robot_ai.backends.serving import json_text
from robot_ai.backends.serving.json_text import parse_json, write_json


@pytest.fixture(params=["orjson", "json"], autouse=True)
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "orjson":
        pytest.importorskip("orjson", reason="needs the extra serving")
    else:
        monkeypatch.setattr(json_text, "orjson", None)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int8", "int32", "int64", "bool"])
def test_an_array_is_nested_lists_of_its_very_values(dtype: str) -> None:
    array = (np.random.default_rng(0).random((2, 3, 4)) * 100).astype(dtype)
    for given in (array, array.transpose(2, 0, 1)):
        text = write_json({"inputs": {"image": given}, "shape": given.shape})
        found = json.loads(text)
        assert found["shape"] == list(given.shape)
        np.testing.assert_array_equal(np.array(found["inputs"]["image"], dtype), given)
        assert parse_json(text) == found


def test_not_a_number_is_read() -> None:
    first, second, third = parse_json(b"[NaN, -Infinity, 1.5]")
    assert math.isnan(first) and second == -math.inf and third == 1.5


@pytest.mark.parametrize("text", [b"", b"{", b"<html>", b"\xff\xfe", b"[1,]"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_what_no_json_can_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        write_json({"set": {1, 2}})
