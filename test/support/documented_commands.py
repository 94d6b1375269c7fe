"""The commands that Markdown pages and launch files' docstrings show: found by their words, in code blocks and inline.

Knows neither ROS nor the package.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```|((?:^ {4}\S[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
# Where a command begins and where it ends, when a line holds several.
_SEPARATORS = ("&&", "|", ";")


@dataclass(frozen=True)
class Command:
    """One command as a page shows it. `whole`: a line of a code block, which can be typed as it is."""

    words: tuple[str, ...]
    place: str
    whole: bool

    def __str__(self) -> str:
        return f"{self.place}: {' '.join(self.words)}"

    @property
    def is_synopsis(self) -> bool:
        """Whether it shows what may be given, `[--rate R]`, and not what is given."""
        return any(word.startswith("[-") or "…" in word for word in self.words)

    @property
    def options(self) -> list[str]:
        """The long options in it, those of a synopsis among them."""
        return [found[1] for word in self.words if (found := re.match(r"\[?(--[a-z][a-z0-9-]*)", word))]

    @property
    def assignments(self) -> list[tuple[str, str]]:
        """What is given as `name:=value`."""
        found = [word.partition(":=") for word in self.words if ":=" in word]
        return [(name, value) for name, _, value in found]


def commands_of(text: str, page: str) -> Iterator[Command]:
    """All that stands in code blocks, a command a line, and between backticks."""
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start()) + (2 if block[1] is not None else 1)
        for number, line in _joined((block[1] or block[2]).splitlines(), first):
            yield from (Command(words, f"{page}:{number}", True) for words in _split(line))
    prose = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    for code in _INLINE.finditer(prose):
        number = prose.count("\n", 0, code.start()) + 1
        yield from (Command(words, f"{page}:{number}", False) for words in _split(code[1].replace("\n", " ")))


def docstring_of(file: Path) -> str:
    """The docstring of a Python module."""
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def _joined(lines: list[str], first: int) -> Iterator[tuple[int, str]]:
    """The lines of a block with their numbers; those that end in a backslash go on."""
    begun, start = "", first
    for number, line in enumerate(lines, first):
        start = start if begun else number
        begun += line
        if begun.endswith("\\"):
            begun = f"{begun[:-1]} "
            continue
        yield start, begun
        begun = ""


def _split(line: str) -> Iterator[tuple[str, ...]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quote that is none: YAML, Python, a message
        words = line.split()
    command: list[str] = []
    for word in [*words, _SEPARATORS[0]]:
        if word not in _SEPARATORS:
            command.append(word)
        elif command:
            yield tuple(command)
            command = []
