"""What a test may ask of a model server while it runs: a JSON file that the server reads at each request."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from robot_ai.backends.serving import json_text


def write_json(content: Any) -> bytes:
    """As the servers write it: quickly, and with NaN where there is one, which is no JSON."""
    text = json_text.write_json(content)
    return json.dumps(content).encode() if b"null" in text else text


parse_json = json_text.parse_json


class Control:
    """delay: seconds before an answer. nan: whether outputs hold NaN. wrong: `shape`, `dtype` or `name` of the first
    output. typed: whether numbers are sent as numbers, not as bytes. refuse_bytes: whether bytes are refused. die:
    whether the server ends at the next request."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, **wishes: Any) -> None:
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(wishes), encoding="utf-8")
        draft.replace(self._path)

    def get(self) -> dict[str, Any]:
        return json.loads(self._path.read_text(encoding="utf-8"))

    def spoil(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Waits, then does to a model's outputs what the test wants."""
        wishes = self.get()
        time.sleep(wishes.get("delay", 0))
        if wishes.get("nan"):
            outputs = {name: np.full_like(array, np.nan) for name, array in outputs.items()}
        first = sorted(outputs)[0]
        if wishes.get("wrong") == "shape":
            outputs[first] = outputs[first][:, 1:]
        if wishes.get("wrong") == "dtype":
            outputs[first] = outputs[first].astype(np.int32)
        if wishes.get("wrong") == "name":
            outputs["other"] = outputs.pop(first)
        return outputs
