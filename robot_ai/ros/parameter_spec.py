"""Parameters of a node as the fields of a frozen dataclass: the one place from which declaration, validation and the
tables in docs/ are made. Knows no rclpy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robot_ai.ros.errors import ParameterError

Scalar = bool | int | float | str
Value = Scalar | tuple[str, ...]

_SPEC = "robot_ai.parameter"


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter: what ROS tools show of it and what is checked when it is set."""

    name: str
    default: Value
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    while_running: bool
    swaps: bool
    read_only: bool

    @property
    def type_name(self) -> str:
        """The type as `ros2 param describe` names it."""
        if isinstance(self.default, tuple):
            return "string array"
        return {bool: "boolean", int: "integer", float: "double", str: "string"}[type(self.default)]

    @property
    def constraint(self) -> str:
        """The accepted values, in words; empty when any value of the type is."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        return ""

    def check(self, value: Any) -> None:
        """Raises ParameterError when the value is out of range or not among the choices."""
        if self.choices and value not in self.choices:
            raise ParameterError(f"{self.name} is '{value}'; expected {self.constraint}")
        # NaN compares false with everything, so the range is asked for, not its opposite.
        if self.minimum is not None and self.maximum is not None and not self.minimum <= value <= self.maximum:
            raise ParameterError(f"{self.name} is {value}; expected {self.constraint}")


def parameter(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    while_running: bool = False,
    swaps: bool = False,
    read_only: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter of the same name.

    `while_running` says that a change takes effect at the next frame, `swaps` that it does so once the model it asks
    for is loaded. Any other parameter is fixed while the node is configured, and a `read_only` one from the start.
    Raises ValueError when only one end of a range is given.
    """
    if (minimum is None) != (maximum is None):
        raise ValueError("minimum and maximum of a parameter are given together or not at all")
    spec = {
        "default": default,
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "while_running": while_running,
        "swaps": swaps,
        "read_only": read_only,
    }
    return dataclasses.field(default=default, metadata={_SPEC: spec})


def specs_of(parameters: type) -> dict[str, ParameterSpec]:
    """The parameters that a dataclass defines, by name, in its order."""
    return {
        field.name: ParameterSpec(name=field.name, **field.metadata[_SPEC])
        for field in dataclasses.fields(parameters)
        if _SPEC in field.metadata
    }


def from_text(spec: ParameterSpec, text: str) -> Any:
    """Reads a value from a command line, in the parameter's type; lists as YAML, `[front, rear]`, or with commas.

    Raises ParameterError when the text is no value of that type.
    """
    if isinstance(spec.default, str):
        return text
    if isinstance(spec.default, tuple):
        return [item for part in text.strip("[] ").split(",") if (item := part.strip(" \"'"))]
    try:
        if isinstance(spec.default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return type(spec.default)(text)
    except (KeyError, ValueError):
        raise ParameterError(f"{spec.name} is '{text}'; expected a value of type {spec.type_name}") from None


def check_change(
    specs: Mapping[str, ParameterSpec], changes: Mapping[str, Any], current: Any, configured: bool, node_name: str
) -> None:
    """Checks new values against their specs and against the node's state. Whether a model that they ask for is there is
    the node's to say.

    Raises ParameterError when a value is out of range, or differs from the current one while it cannot change.
    """
    for name, value in changes.items():
        spec = specs[name]
        spec.check(value)
        if configured and not (spec.while_running or spec.swaps) and value != getattr(current, name):
            raise ParameterError(
                f"{name} is fixed while the node is configured. Run 'ros2 lifecycle set {node_name} deactivate' and "
                f"'cleanup', set it, then 'configure' and 'activate'"
            )


def markdown_table(parameters: type) -> str:
    """The parameters as a Markdown table for docs/."""
    rows = ["| Parameter | Type | Default | Accepted | Changes while running | Meaning |", "|---|---|---|---|---|---|"]
    for spec in specs_of(parameters).values():
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        shown = f"`{str(default).lower()}`" if isinstance(default, bool) else f"`{default!r}`".replace("'", '"')
        when = (
            "yes"
            if spec.while_running
            else "yes, by a swap"
            if spec.swaps
            else "read only"
            if spec.read_only
            else "when unconfigured"
        )
        rows.append(
            f"| `{spec.name}` | {spec.type_name} | {shown} | {spec.constraint or 'any'} | {when} | {spec.description} |"
        )
    return "\n".join(rows) + "\n"
