"""Services that answer later: rclpy 7.1's EventsExecutor runs no coroutines, and a callback must not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class DeferredResponse:
    """Returned by a service's callback in place of a response; `send` gives the response once it is known.

    The service must have been prepared by `allow_deferred`. Thread-safe: the response may be known before the callback
    has returned.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._send: Callable[[Any], None] | None = None
        self._early: Any = None

    def send(self, response: Any) -> None:
        """Answers the request. Raises what rmw raises on a response of another type."""
        with self._lock:
            if self._send is None:
                self._early = response
                return
        self._send(response)

    def attach(self, send: Callable[[Any], None]) -> None:
        """Says how to answer; called when the callback has returned."""
        with self._lock:
            self._send = send
        if self._early is not None:
            send(self._early)


def allow_deferred(service: Any) -> None:
    """Lets the callback of an rclpy service return a DeferredResponse."""
    send_response = service.send_response

    def send(response: Any, header: Any) -> None:
        if isinstance(response, DeferredResponse):
            response.attach(lambda later: send_response(later, header))
        else:
            send_response(response, header)

    service.send_response = send
