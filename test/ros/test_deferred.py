"""Answers that come later than the callback's return, or earlier."""

from __future__ import annotations

from typing import Any

import pytest

from robot_ai.ros.deferred import DeferredResponse, allow_deferred


class Service:
    """As rclpy's: its executor calls `send_response` with what the callback has returned."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, Any]] = []

    def send_response(self, response: Any, header: Any) -> None:
        self.sent.append((response, header))


@pytest.fixture
def service() -> Service:
    prepared = Service()
    allow_deferred(prepared)
    return prepared


def test_a_plain_response_is_sent_at_once(service: Service) -> None:
    service.send_response("answer", 1)
    assert service.sent == [("answer", 1)]


def test_answers_come_later_in_any_order(service: Service) -> None:
    first, second = DeferredResponse(), DeferredResponse()
    service.send_response(first, 1)
    service.send_response(second, 2)
    assert service.sent == []
    second.send("second")
    first.send("first")
    assert service.sent == [("second", 2), ("first", 1)]


def test_an_answer_may_be_known_before_the_callback_returns(service: Service) -> None:
    early = DeferredResponse()
    early.send("known")
    assert service.sent == []
    service.send_response(early, 3)
    assert service.sent == [("known", 3)]
