"""docs/architecture.md says which room imports which; this holds the code to it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "robot_ai"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# Named on the page: a card's plain dataclasses lie above what they describe.
UPWARDS = {("perception/preprocess.py", "robot_ai.models.specs")}
KNOWS_ROS = {"cli", "nodes", "ros"}


def rooms() -> list[str]:
    """The rooms of the page's table, from top to bottom."""
    table = PAGE.partition("\n## Rooms\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    return [name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def imports(file: Path) -> Iterator[str]:
    """The full names of all that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield str(node.module)
            # `from robot_ai import errors` names a room only in its second half.
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "robot_ai")


def room_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "robot_ai" or len(parts) < 2:
        return None
    return next((name for name in (parts[1], f"{parts[1]}.py") if (PACKAGE / name).exists()), None)


def files_of(room: str) -> list[Path]:
    return [PACKAGE / room] if room.endswith(".py") else sorted((PACKAGE / room).rglob("*.py"))


def test_every_room_has_one_row() -> None:
    there = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    there |= {path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    assert sorted(rooms()) == sorted(there)


@pytest.mark.parametrize("room", rooms())
def test_imports_point_down(room: str) -> None:
    order = rooms()
    below = set(order[order.index(room) :])
    wrong = [
        f"{name} imports {module}"
        for file in files_of(room)
        for module in imports(file)
        if (target := room_of(module)) is not None
        and target not in below
        and ((name := str(file.relative_to(PACKAGE))), module) not in UPWARDS
    ]
    assert not wrong


@pytest.mark.parametrize("room", [room for room in rooms() if room not in KNOWS_ROS])
def test_rclpy_stays_above(room: str) -> None:
    wrong = [str(f) for f in files_of(room) if any(module.split(".")[0] == "rclpy" for module in imports(f))]
    assert not wrong


def test_the_exceptions_are_real_and_told() -> None:
    for name, module in UPWARDS:
        assert module in set(imports(PACKAGE / name))
        assert f"`{name}`" in PAGE
        assert f"`{module.removeprefix('robot_ai.').replace('.', '/')}.py`" in PAGE
