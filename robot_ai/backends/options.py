"""A backend's options, read strictly: what is unknown or of the wrong type is refused, with what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from robot_ai.backends.errors import BackendOptionError


class Options:
    """The options of one artifact, the user's before the card's.

    `known` maps each option to its meaning, which ends with its default. Every method takes an option's name and gives
    its default when the option is not there. All raise BackendOptionError.
    """

    def __init__(self, given: Mapping[str, Any], known: Mapping[str, str], backend: str) -> None:
        self._given = given
        self._backend = backend
        if unknown := sorted(set(given) - set(known)):
            listed = "; ".join(f"{name}: {meaning}" for name, meaning in known.items()) or "none"
            raise BackendOptionError(
                f"backend '{backend}' has no option {', '.join(unknown)}; its options are {listed}. "
                "Remove it, or correct its spelling"
            )

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        return bool(self._typed(name, bool, "true or false", default))

    def text(self, name: str, default: str = "") -> str:
        """A text that is not empty."""
        value = self._typed(name, str, "a text", default)
        if name in self._given and not value.strip():
            raise self._fault(name, "a text")
        return str(value)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of a few words."""
        value = self.text(name, default)
        if value not in choices:
            raise self._fault(name, " or ".join(choices))
        return value

    def integer(self, name: str, default: int, highest: int) -> int:
        """A whole number from 0 to `highest`."""
        expected = f"a whole number from 0 to {highest}"
        value = self._typed(name, int, expected, default)
        if isinstance(value, bool) or not 0 <= value <= highest:
            raise self._fault(name, expected)
        return int(value)

    def number(self, name: str, default: float, highest: float) -> float:
        """A number from 0 to `highest`."""
        expected = f"a number from 0 to {highest:g}"
        value = self._typed(name, (int, float), expected, default)
        if isinstance(value, bool) or not 0 <= value <= highest:
            raise self._fault(name, expected)
        return float(value)

    def texts(self, name: str) -> list[str]:
        """A list of texts, empty by default."""
        value = self._typed(name, list, "a list of texts", [])
        if not all(isinstance(item, str) for item in value):
            raise self._fault(name, "a list of texts")
        return list(value)

    def mapping(self, name: str) -> dict[str, Any]:
        """A mapping with texts as keys, empty by default."""
        value = self._typed(name, dict, "a mapping", {})
        if not all(isinstance(key, str) for key in value):
            raise self._fault(name, "a mapping with texts as keys")
        return dict(value)

    def _typed(self, name: str, kind: type | tuple[type, ...], expected: str, default: Any) -> Any:
        value = self._given.get(name, default)
        if not isinstance(value, kind):
            raise self._fault(name, expected)
        return value

    def _fault(self, name: str, expected: str) -> BackendOptionError:
        return BackendOptionError(
            f"option '{name}' of backend '{self._backend}' is {self._given[name]!r}; expected {expected}. Correct it"
        )
