"""The arguments that a launch file declares, read from its source: launch itself is on no package registry.

`test/launch/test_descriptions.py` holds this to what the real launch finds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from robot_ai import bringup
from robot_ai.bringup import table
from robot_ai.ros.parameter_spec import ParameterSpec, from_text

_SWITCH = ("true", "false")


@dataclass(frozen=True)
class Argument:
    """What may be given: a value of a parameter, one of some choices, or anything."""

    parameter: ParameterSpec | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: str) -> None:
        """Raises ParameterError or ValueError for a value that the node or launch would refuse."""
        if self.parameter is not None:
            self.parameter.check(from_text(self.parameter, value))
        if self.choices and value not in self.choices:
            raise ValueError(f"'{value}' is none of {', '.join(self.choices)}")


def arguments_of(file: Path) -> dict[str, Argument]:
    """The arguments of a launch file of this package, by name."""
    source = file.read_text(encoding="utf-8")
    arguments = _declared(ast.parse(source))
    for call in _calls(ast.parse(source)):
        first = ast.unparse(call.args[0]) if call.args else ""
        match ast.unparse(call.func):
            case "describe_node":
                executable = eval(first, vars(table).copy())
                arguments |= _common() | dict.fromkeys(executable.topics, Argument()) | _of_node(executable)
            case "describe_members":
                arguments |= _of_members(eval(first, vars(table).copy()))
            case "simulated_microcontroller":
                arguments |= _declared_in("simulated_microcontroller")
    return arguments


def _of_members(members: tuple[table.Member, ...]) -> dict[str, Argument]:
    met = {name for member in members for name in member.topics.values() if name in table.TOPICS}
    arguments = _common() | _declared_in("describe_members") | dict.fromkeys(met, Argument())
    for member in members:
        arguments |= {member.role: Argument(choices=_SWITCH)} | _of_node(member.executable, f"{member.role}.")
    return arguments


def _of_node(executable: table.Executable, prefix: str = "") -> dict[str, Argument]:
    names = {name: Argument() for name in _declared_in("_node_arguments")}
    parameters = {
        name: Argument(spec) for name, spec in executable.specs.items() if name not in _constant("_NOT_ARGUMENTS")
    }
    return {f"{prefix}{name}": argument for name, argument in (names | parameters).items()}


def _common() -> dict[str, Argument]:
    return _declared_in("_common")


@cache
def _launching() -> ast.Module:
    return ast.parse(Path(bringup.__path__[0], "launching.py").read_text(encoding="utf-8"))


def _constant(name: str) -> tuple[str, ...]:
    """A tuple of texts that launching.py names."""
    return next(
        ast.literal_eval(node.value)
        for node in _launching().body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )


def _declared_in(function: str) -> dict[str, Argument]:
    found = (node for node in _launching().body if isinstance(node, ast.FunctionDef) and node.name == function)
    return _declared(next(found))


def _declared(tree: ast.AST) -> dict[str, Argument]:
    """What is declared under a name that stands there, alone or after a node's prefix."""
    arguments = {}
    for call in _calls(tree):
        name = _name(call.args[0]) if call.args else None
        function = ast.unparse(call.func)
        if name is None or function not in ("DeclareLaunchArgument", "_switch", "argument"):
            continue
        arguments[name] = Argument(choices=_SWITCH if function == "_switch" else _choices(call))
    return arguments


def _choices(call: ast.Call) -> tuple[str, ...]:
    """What gazebo.launch.py's `argument` has after the meaning, or `choices=list(NAME)`."""
    for keyword in call.keywords:
        match keyword:
            case ast.keyword(arg="choices", value=ast.Call(args=[ast.Name(id=name)])):
                return _constant(name)
    return tuple(ast.literal_eval(word) for word in call.args[3:])


def _name(node: ast.expr) -> str | None:
    """A text as it stands, or what follows the prefix of `f"{prefix}name"`."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(text))]):
            return text
    return None


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))
