"""Reading a decoder's options, each with a default and a clear refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from robot_ai.perception.decoders.checks import require_options
from robot_ai.perception.decoders.errors import DecoderOptionError


class DecoderOptions:
    """The options that a card gives to one decoder; `known` holds the name and meaning of each that it has."""

    def __init__(self, decoder: str, given: Mapping[str, Any], known: Mapping[str, str]) -> None:
        """Raises DecoderOptionError for an option that is not known."""
        require_options(decoder, given, known)
        self._decoder, self._given, self._known = decoder, given, known

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._given.get(key, default)
        if type(value) is not bool:
            raise self.fault(key, value, "true or false")
        return value

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """One of a few words."""
        value = self._given.get(key, default)
        if value not in choices:
            raise self.fault(key, value, f"one of {', '.join(choices)}")
        return str(value)

    def count(self, key: str, default: int | None = None, low: int = 1) -> int:
        """A whole number of at least `low`; without a default it must be given."""
        value = self._given.get(key, default)
        if type(value) is not int or value < low:
            raise self.fault(key, value, f"the {self._known[key]}")
        return value

    def strides(self, default: Sequence[int] | None = None) -> list[int]:
        """The option `strides`, a list of different positive whole numbers."""
        strides = self._given.get("strides", default)
        valid = (
            isinstance(strides, list | tuple) and strides and all(type(item) is int and item > 0 for item in strides)
        )
        if not valid or len(set(strides or [])) != len(strides or []):
            raise self.fault("strides", strides, f"a {self._known['strides']}")
        return list(strides or [])

    def fault(self, key: str, value: object, expected: str) -> DecoderOptionError:
        """A refusal of one option's value."""
        return DecoderOptionError(f"decoder '{self._decoder}': '{key}' is {value!r}; expected {expected}")
