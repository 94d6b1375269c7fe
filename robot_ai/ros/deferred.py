"""Services that answer later: rclpy 7.1's EventsExecutor runs no coroutines, and a callback must not wait."""

from __future__ import annotations

from typing import Any


class DeferredResponse:
    """Returned by a service's callback in place of a response; `send` gives the response once it is known.

    The service must have been prepared by `allow_deferred`. Used from the executor's thread only.
    """

    def __init__(self) -> None:
        self._send: Any = None

    def send(self, response: Any) -> None:
        """Answers the request."""
        if self._send is not None:
            self._send(response)


def allow_deferred(service: Any) -> None:
    """Lets the callback of an rclpy service return a DeferredResponse."""
    send_response = service.send_response

    def send(response: Any, header: Any) -> None:
        if isinstance(response, DeferredResponse):
            response._send = lambda later: send_response(later, header)
        else:
            send_response(response, header)

    service.send_response = send
