"""Parameter requests that swap the model: answered when the outcome is known, while everything else goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from robot_ai.ros.deferred import DeferredResponse, allow_deferred
from robot_ai.ros.parameters import is_read_only, refused

SUPERSEDED = "superseded by a later request; the model that serves was not changed by this one"


@dataclass(frozen=True)
class _Pending:
    parameters: list[Parameter]
    answer: Callable[[SetParametersResult], None]


class SwapRequests:
    """Stands before a node's two set services.

    `begin(parameters)` is asked about each request: it returns False to let it pass as it is, True when it has begun to
    load what the request asks for, and raises a RobotAIError to refuse, as it must a change of what is
    read-only. All parameters of a request that swaps change together, in either service. `finish` sets them and
    answers; a later request supersedes one that still waits.
    """

    def __init__(self, node: Node, begin: Callable[[list[Parameter]], bool]) -> None:
        self._node = node
        self._begin = begin
        self._pending: _Pending | None = None
        for service in node.services:
            if service.srv_type in (SetParameters, SetParametersAtomically):
                self._stand_before(service)

    def finish(self, error: str) -> None:
        """Ends the request that waits: refused when there is an error, else by setting its parameters."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        if error:
            pending.answer(SetParametersResult(successful=False, reason=error))
        else:
            pending.answer(self._set(pending.parameters))

    def _set(self, parameters: list[Parameter]) -> SetParametersResult:
        # rclpy refuses read-only ones even as they are; `begin` has refused any that would change.
        settable = [parameter for parameter in parameters if not is_read_only(self._node, parameter.name)]
        try:
            return self._node.set_parameters_atomically(settable)
        except ParameterException as error:  # rclpy's services answer it; nobody does in a timer
            return SetParametersResult(successful=False, reason=str(error))

    def _stand_before(self, service: Any) -> None:
        allow_deferred(service)
        original = service.callback
        atomic = service.srv_type is SetParametersAtomically

        def callback(request: Any, response: Any) -> Any:
            deferred = DeferredResponse()

            def fill(result: SetParametersResult) -> Any:
                if atomic:
                    response.result = result
                else:
                    response.results = [result] * len(request.parameters)
                return response

            try:
                parameters = [Parameter.from_parameter_msg(message) for message in request.parameters]
                begun = self._begin(parameters)
            except Exception as error:  # noqa: BLE001 - whatever was sent, it must not end the node
                return fill(refused(self._node, error))
            if not begun:
                return original(request, response)
            self.finish(SUPERSEDED)
            self._pending = _Pending(parameters, lambda result: deferred.send(fill(result)))
            return deferred

        service.callback = callback
