"""Where message definitions are found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from robot_ai.bags.definitions import Definitions
from robot_ai.bags.errors import MessageDefinitionError

DETECTIONS = "vision_msgs/msg/Detection2DArray"


def test_definitions_beside_this_python_need_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (Path(sys.prefix) / "share/vision_msgs/msg").is_dir():
        pytest.skip("vision_msgs is not installed beside this Python, but by a distribution")
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    definitions = Definitions()
    definitions.require(DETECTIONS)
    assert DETECTIONS in definitions.store.types


def test_a_package_that_is_nowhere_is_named() -> None:
    with pytest.raises(MessageDefinitionError, match="nowhere_msgs"):
        Definitions().require("nowhere_msgs/msg/Thing")
