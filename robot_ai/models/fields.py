"""Strict reading of one YAML file: every refusal names the file, the key, what was expected and the remedy."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from robot_ai.models.errors import CardKeyError, CardUnreadableError, CardValueError

MAX_CARD_BYTES = 1 << 20  # a card is text written by people; anything larger is a mistake or an attack


class _UniqueKeyLoader(yaml.SafeLoader):
    """yaml.SafeLoader, which alone would silently let the last of two equal keys win, and which expands aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_mark()
            raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not allowed in a card", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Fields:
    """Reads a YAML file whose top level is a mapping. Raises CardUnreadableError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_CARD_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise CardUnreadableError(
            f"{path}: cannot be read ({getattr(error, 'strerror', error)}); expected a model card. "
            "Check the path and its permissions"
        ) from error
    if len(data) > MAX_CARD_BYTES:
        raise CardUnreadableError(f"{path}: a model card is at most {MAX_CARD_BYTES} bytes of YAML; this is no card")
    try:
        # SafeLoader builds only plain values, never Python objects.
        content = yaml.load(data.decode("utf-8"), Loader=_UniqueKeyLoader)
    except Exception as error:
        raise CardUnreadableError(f"{path}: not valid YAML: {error}. Correct the file") from error
    if not isinstance(content, Mapping):
        raise CardUnreadableError(
            f"{path}: holds {_describe(content)}; expected a mapping of keys such as 'name' and 'labels'"
        )
    return Fields(path, "", content)


class Fields:
    """One mapping of a YAML file. Each key is taken once, by the method for its type; `finish` refuses the rest."""

    def __init__(self, file: Path, where: str, content: Mapping[Any, Any]) -> None:
        self._file = file
        self._where = where
        self._content = dict(content)
        self._known: list[str] = []

    def keys(self) -> list[str]:
        """The keys that are present. Raises CardKeyError when one is not a string."""
        for key in self._content:
            if not isinstance(key, str):
                raise CardKeyError(
                    f"{self._file}: key {key!r} in '{self._where or 'the top level'}' is {_describe(key)}; "
                    f"expected a name. Quote it to make it a string"
                )
        return list(self._content)

    def path_of(self, key: str) -> str:
        """The key with the keys it lies under, as messages name it."""
        return f"{self._where}.{key}" if self._where else key

    def fault(self, key: str, problem: str, expected: str) -> CardValueError:
        """The error for a value that is not as expected."""
        return CardValueError(f"{self._file}: '{self.path_of(key)}' {problem}; expected {expected}. Correct the card")

    def finish(self) -> None:
        """Raises CardKeyError when there are keys that nobody took."""
        unknown = [key for key in self.keys() if key not in self._known]
        if unknown:
            names = ", ".join(f"'{self.path_of(key)}'" for key in unknown)
            raise CardKeyError(
                f"{self._file}: unknown key {names}; expected only {', '.join(dict.fromkeys(self._known))}. "
                "Remove it or correct its spelling"
            )

    def take(self, key: str, expected: str) -> Any:
        """The value of a key that must be there. Raises CardKeyError."""
        self._known.append(key)
        if key not in self._content:
            raise CardKeyError(f"{self._file}: '{self.path_of(key)}' is missing; expected {expected}. Add it")
        return self._content[key]

    def has(self, key: str) -> bool:
        """Whether an optional key is there; it counts as known from now on."""
        self._known.append(key)
        return key in self._content

    def text(self, key: str, expected: str = "text") -> str:
        """A string that is not blank."""
        value = self.take(key, expected)
        if not isinstance(value, str) or not value.strip():
            raise self.fault(key, f"is {_describe(value)}", expected)
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of a few words."""
        expected = " or ".join(choices)
        value = self.take(key, expected)
        if not isinstance(value, str) or value not in choices:
            raise self.fault(key, f"is {_describe(value)}", expected)
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        expected = f"a whole number from {low} to {high}"
        value = self.take(key, expected)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fault(key, f"is {_describe(value)}", expected)
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """A finite number from low to high, both included."""
        return self._number(key, self.take(key, f"a number from {low:g} to {high:g}"), low, high)

    def triple(self, key: str, low: float, high: float) -> tuple[float, float, float]:
        """Three numbers, one per channel."""
        expected = "a list of 3 numbers, one per channel"
        value = self.take(key, expected)
        if not isinstance(value, list) or len(value) != 3:
            raise self.fault(key, f"is {_describe(value)}", expected)
        first, second, third = (self._number(key, item, low, high) for item in value)
        return first, second, third

    def items(self, key: str, expected: str) -> list[Any]:
        """A list with at least one item."""
        value = self.take(key, expected)
        if not isinstance(value, list) or not value:
            raise self.fault(key, f"is {_describe(value)}", expected)
        return value

    def mapping(self, key: str, expected: str) -> Fields:
        """A mapping below this one; an empty one may be written as `{}` or left blank."""
        value = self.take(key, expected)
        return self.nested(key, {} if value is None else value, expected)

    def mappings(self, key: str, expected: str) -> list[Fields]:
        """A list of mappings with at least one item."""
        return [self.nested(f"{key}[{index}]", item, expected) for index, item in enumerate(self.items(key, expected))]

    def nested(self, key: str, value: Any, expected: str) -> Fields:
        """Wraps a value that must be a mapping."""
        if not isinstance(value, Mapping):
            raise self.fault(key, f"is {_describe(value)}", expected)
        return Fields(self._file, self.path_of(key), value)

    def free(self) -> dict[str, Any]:
        """Everything that nobody took yet, as it stands: for options whose reader lives elsewhere."""
        left = {key: self._content[key] for key in self.keys() if key not in self._known}
        self._known.extend(left)
        return left

    def _number(self, key: str, value: Any, low: float, high: float) -> float:
        valid = isinstance(value, int | float) and not isinstance(value, bool)
        # NaN compares as outside, and so does an integer too large for a float.
        if not valid or not low <= value <= high:
            raise self.fault(key, f"is {_describe(value)}", f"a number from {low:g} to {high:g}")
        return float(value)


def _describe(value: object) -> str:
    """A value as a message shows it: short, with its type."""
    if value is None:
        return "empty"
    try:
        shown = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        shown = "too long to show"
    return f"{shown if len(shown) <= 60 else shown[:57] + '...'} ({type(value).__name__})"
