"""Changes to a model card's text: artifacts and the golden sample, while every other line and comment stays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from robot_ai.models.card import CARD_FILE
from robot_ai.models.errors import CardValueError

_INDENT = 2


def set_artifact(directory: Path, key: str, entry: Mapping[str, Any]) -> None:
    """Adds an artifact to a card, or replaces the one of that key. Raises CardValueError."""
    file = directory / CARD_FILE
    text = file.read_text(encoding="utf-8")
    _write(file, _with_entry(file, text, "artifacts", key, entry))


def set_golden(directory: Path, path: str, sha256: str) -> None:
    """Writes the card's golden sample, in place of one that is there."""
    file = directory / CARD_FILE
    text = file.read_text(encoding="utf-8")
    _write(file, _with_value(text, "golden", {"path": path, "sha256": sha256}))


def _with_entry(file: Path, text: str, block: str, key: str, entry: Mapping[str, Any]) -> str:
    """The text with `key: entry` inside the top-level mapping `block`."""
    node = _value_of(_root(text), block)
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise CardValueError(f"{file}: '{block}' is no mapping with entries; correct the card")
    if node.flow_style:
        content = yaml.safe_load(text)[block]
        return _with_value(text, block, {**content, key: dict(entry)})
    indent = node.value[0][0].start_mark.column
    added = _indented({key: dict(entry)}, indent)
    for name, value in node.value:
        if name.value == key:
            return _replace(text, name.start_mark.line, _end_line(text, value), added)
    end = _end_line(text, node.value[-1][1])
    return _replace(text, end, end, added)


def _with_value(text: str, key: str, value: Mapping[str, Any]) -> str:
    """The text with a top-level `key: value`, at the end where it is new."""
    added = _indented({key: dict(value)}, 0)
    for name, node in _root(text).value:
        if name.value == key:
            return _replace(text, name.start_mark.line, _end_line(text, node), added)
    return text.rstrip("\n") + "\n\n" + added


def _root(text: str) -> yaml.MappingNode:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)  # a card that was loaded before
    return node


def _value_of(root: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for name, value in root.value if name.value == key), None)


def _replace(text: str, first: int, end: int, added: str) -> str:
    """Replaces the lines from `first` to before `end`."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join([*lines[:first], added, *lines[end:]])


def _end_line(text: str, node: yaml.Node) -> int:
    """The line after a value's last one. YAML ends a block where the next token starts, past blanks and comments."""
    lines = text.splitlines()
    end, column = node.end_mark.line, node.end_mark.column
    if end < len(lines) and lines[end][:column].strip():
        return end + 1
    while end and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return end


def _indented(content: Mapping[str, Any], indent: int) -> str:
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=110, indent=_INDENT)
    return "".join(" " * indent + line for line in text.splitlines(keepends=True))


def _write(file: Path, text: str) -> None:
    """Replaces the card in one step, so that whoever reads it meanwhile sees the old one or the new one."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)
