"""The layouts for RViz and Foxglove name topics that the nodes' table makes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from robot_ai.bringup.table import SIMULATION, default_name

CONFIG = Path(__file__).resolve().parents[2] / "config"
# Of the simulator and the bridge, under names of their own.
OWN = {
    "odom",
    "scan",
    "lidar/points",
    "camera/image_raw",
    "camera/camera_info",
    "mcu/motors",
    "mcu/stop",
    "diagnostics",
}


def known() -> set[str]:
    return {default_name(topic) for member in SIMULATION for topic in member.topics.values()} | OWN


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value


def test_rviz_listens_to_topics_that_are_there() -> None:
    content = yaml.safe_load((CONFIG / "robot_ai.rviz").read_text())
    displays = content["Visualization Manager"]["Displays"]
    topics = {display["Topic"]["Value"].lstrip("/") for display in displays if "Topic" in display}
    assert len(topics) >= 5
    assert topics <= known()


def test_foxglove_listens_to_topics_that_are_there_and_shows_every_panel() -> None:
    content = json.loads((CONFIG / "foxglove_layout.json").read_text())
    topics = {re.split(r"\.", text)[0].lstrip("/") for text in strings(content["configById"]) if text.startswith("/")}
    assert len(topics) >= 8
    assert topics <= known()
    panels = {text for text in strings(content["layout"]) if "!" in text}
    assert panels == set(content["configById"])
