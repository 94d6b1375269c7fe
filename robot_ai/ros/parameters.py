"""A node's parameters: declared from a dataclass, refused with a reason, handed out as one immutable snapshot."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from robot_ai.errors import RobotAIError
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import ParameterSpec, check_change, specs_of

Values = TypeVar("Values")


class NodeParameters(Generic[Values]):
    """Declares the fields of `values_class` on the node and keeps `values` in step with them.

    A set request is checked as a whole: each value against its range, then all together by `validate` and, when it is
    about to be set, by `accept`, which raise a RobotAIError to refuse. A refused request changes nothing; after an
    accepted one `changed` is called.
    """

    def __init__(
        self,
        node: Node,
        values_class: type[Values],
        *,
        is_configured: Callable[[], bool],
        validate: Callable[[Values], None],
        accept: Callable[[Values], None] = lambda _: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._node = node
        self._specs = specs_of(values_class)
        self._is_configured = is_configured
        self._validate = validate
        self._accept = accept
        self._changed = changed
        self.values: Values = values_class()
        for spec in self._specs.values():
            self._declare(spec)
        self.values = self._with(node.get_parameters(list(self._specs)))
        for spec in self._specs.values():
            spec.check(getattr(self.values, spec.name))
        self._validate(self.values)
        node.add_pre_set_parameters_callback(self._coerce)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._commit)

    def _declare(self, spec: ParameterSpec) -> None:
        descriptor = _descriptor(spec)
        if not isinstance(spec.default, tuple):
            self._node.declare_parameter(spec.name, spec.default, descriptor)
            return
        # rclpy takes an empty list for a byte array, so the type is declared and the default set afterwards.
        declared = self._node.declare_parameter(spec.name, Parameter.Type.STRING_ARRAY, descriptor)
        if declared.value is None:
            self._node.set_parameters([Parameter(spec.name, Parameter.Type.STRING_ARRAY, list(spec.default))])

    def _coerce(self, parameters: list[Parameter]) -> list[Parameter]:
        """Gives values the type that their sender meant: 10 for a double, [] for a string array."""
        return [self._coerced(parameter) for parameter in parameters]

    def _coerced(self, parameter: Parameter) -> Parameter:
        spec = self._specs.get(parameter.name)
        if spec is None:
            return parameter
        if isinstance(spec.default, tuple) and parameter.value is not None and _is_empty_list(parameter):
            return Parameter(parameter.name, Parameter.Type.STRING_ARRAY, [])
        if isinstance(spec.default, float) and parameter.type_ == Parameter.Type.INTEGER:
            return Parameter(parameter.name, Parameter.Type.DOUBLE, float(parameter.value))
        return parameter

    def asks_for_swap(self, parameters: list[Parameter]) -> bool:
        """Whether a request names a parameter whose change takes another model."""
        specs = (self._specs.get(parameter.name) for parameter in parameters)
        return any(spec is not None and spec.swaps for spec in specs)

    def propose(self, parameters: list[Parameter]) -> Values:
        """The values as they would be. Raises a RobotAIError when they would be refused."""
        parameters = self._coerce(parameters)
        for parameter in parameters:
            self._check_type(parameter)
        proposed = self._with(parameters)
        changes = {p.name: getattr(proposed, p.name) for p in parameters if p.name in self._specs}
        check_change(self._specs, changes, self.values, self._is_configured(), self._node.get_fully_qualified_name())
        self._validate(proposed)
        return proposed

    def _check_type(self, parameter: Parameter) -> None:
        """Raises ParameterError for a value of another type than the declared one, which rclpy would refuse later."""
        spec = self._specs.get(parameter.name)
        if spec is not None and parameter.type_ != self._node.get_parameter(parameter.name).type_:
            raise ParameterError(f"{parameter.name} is {parameter.value!r}; expected a value of type {spec.type_name}")

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            proposed = self.propose(parameters)
            self._accept(proposed)
        except Exception as error:  # noqa: BLE001 - whatever was sent, it must not end the node
            return refused(self._node, error)
        return SetParametersResult(successful=True)

    def _commit(self, parameters: list[Parameter]) -> None:
        self.values = self._with(parameters)
        if any(parameter.name in self._specs for parameter in parameters):
            self._changed()

    def _with(self, parameters: list[Parameter]) -> Values:
        changes: dict[str, Any] = {}
        for parameter in parameters:
            spec = self._specs.get(parameter.name)
            if spec is None:
                continue
            value = parameter.value
            # YAML cannot write an empty string array; [''] is the ROS idiom for one.
            changes[parameter.name] = tuple(v for v in value if v) if isinstance(spec.default, tuple) else value
        return dataclasses.replace(self.values, **changes)  # type: ignore[type-var]


def is_read_only(node: Node, name: str) -> bool:
    """Whether a declared parameter can be set at the node's start only."""
    return bool(node.describe_parameter(name).read_only)


def refuse_read_only(node: Node, parameters: list[Parameter]) -> None:
    """Raises ParameterError for a change of a read-only one; a file of `ros2 param dump` holds them as they are."""
    for given in parameters:
        current = node.get_parameter(given.name).value
        if is_read_only(node, given.name) and given.value != current:
            raise ParameterError(
                f"{given.name} is read-only and {current!r}; nothing was set. Remove it, or give it at the start"
            )


def refused(node: Node, error: Exception) -> SetParametersResult:
    """The answer to a request that cannot be fulfilled, which is logged too."""
    reason = str(error) if isinstance(error, RobotAIError) else f"{type(error).__name__}: {error}"
    node.get_logger().warning(f"parameter refused: {reason}")
    return SetParametersResult(successful=False, reason=reason)


def _is_empty_list(parameter: Parameter) -> bool:
    return parameter.type_ not in _SCALARS and len(parameter.value) == 0


_SCALARS = (Parameter.Type.BOOL, Parameter.Type.INTEGER, Parameter.Type.DOUBLE, Parameter.Type.STRING)


def _descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=spec.description, additional_constraints=spec.constraint, read_only=spec.read_only
    )
    if spec.minimum is not None and spec.maximum is not None:
        if isinstance(spec.default, float):
            bounds = FloatingPointRange(from_value=float(spec.minimum), to_value=float(spec.maximum))
            descriptor.floating_point_range = [bounds]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(spec.minimum), to_value=int(spec.maximum), step=1)]
    return descriptor
