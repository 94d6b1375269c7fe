"""JSON with millions of numbers: by orjson where it is installed, else by Python's own module, ten times as slowly."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import numpy as np

orjson: ModuleType | None
try:
    import orjson
except ImportError:
    orjson = None


def write_json(content: Any) -> bytes:
    """The text of plain values and arrays, each array as nested lists; float32 with as few digits as tell it."""
    if orjson is not None:
        text: bytes = orjson.dumps(content, _plain, orjson.OPT_SERIALIZE_NUMPY)
        return text
    return json.dumps(content, separators=(",", ":"), default=_plain).encode()


def parse_json(text: bytes) -> Any:
    """The values. Raises ValueError.

    NaN and Infinity, which are no JSON and which TensorFlow Serving writes all the same, are read by Python's module.
    """
    if orjson is not None:
        try:
            return orjson.loads(text)
        except ValueError:
            pass
    return json.loads(text)


def _plain(value: Any) -> Any:
    """What neither module writes: arrays that orjson does not know or that are not contiguous."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no value of JSON")
