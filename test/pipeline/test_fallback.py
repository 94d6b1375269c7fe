"""When a failing backend is left, and when it is tried again."""

from __future__ import annotations

import pytest

from robot_ai.pipeline.fallback import LARGEST_BACKOFF, FallbackPolicy


def policy(failures: int = 3) -> FallbackPolicy:
    return FallbackPolicy(["pytorch", "onnx", "litert"], failures, retry_after=10.0)


def test_only_failures_in_a_row_count():
    fallback = policy(3)
    assert [fallback.failed(), fallback.failed()] == [False, False]
    fallback.succeeded()
    assert [fallback.failed(), fallback.failed(), fallback.failed()] == [False, False, True]


def test_it_goes_down_the_list_and_no_further():
    fallback = policy()
    assert fallback.next_backend("pytorch") == "onnx"
    assert fallback.next_backend("onnx") == "litert"
    assert fallback.next_backend("litert") is None


def test_a_backend_named_twice_is_tried_once():
    assert FallbackPolicy(["onnx", "onnx", "litert"], 1, 1.0).next_backend("onnx") == "litert"


def test_the_preferred_backend_is_not_retried_while_it_serves():
    assert not policy().should_retry(1e9)


def test_it_is_retried_after_the_back_off_which_doubles_to_a_limit():
    fallback = policy()
    now, waits = 100.0, []
    fallback.moved_to("onnx", now)
    assert fallback.fallen_back and fallback.current == "onnx"
    for _ in range(7):
        assert not fallback.should_retry(now)
        wait = next(step for step in range(1, 1000) if fallback.should_retry(now + step))
        waits.append(wait)
        now += wait
        fallback.retry_failed(now)
    assert waits == [10, 20, 40, 80, 160, 160, 160] and waits[-1] == 10 * LARGEST_BACKOFF


def test_coming_back_starts_afresh():
    fallback = policy(2)
    fallback.failed()
    fallback.moved_to("onnx", 0)
    fallback.retry_failed(10)
    fallback.moved_to("pytorch", 30)
    assert not fallback.fallen_back and not fallback.should_retry(1e9)
    assert not fallback.failed(), "failures before the move do not count"
    fallback.moved_to("onnx", 50)
    assert not fallback.should_retry(59.9) and fallback.should_retry(60)


def test_a_return_that_does_not_last_is_a_failed_attempt():
    """A backend that loads well and then hangs would cost a timeout and a thread at every return."""
    fallback = policy(1)
    now, waits = 0.0, []
    for _ in range(6):
        fallback.moved_to("onnx", now)
        wait = next(step for step in range(1, 1000) if fallback.should_retry(now + step))
        waits.append(wait)
        now += wait
        fallback.moved_to("pytorch", now)
        now += wait / 2
    assert waits == [10, 20, 40, 80, 160, 160]
    fallback.moved_to("pytorch", now)
    fallback.moved_to("onnx", now + 160)
    assert fallback.should_retry(now + 170), "it had lasted as long as it was waited for"


def test_at_the_end_of_the_list_the_preferred_backend_is_loaded_anew_after_the_back_off():
    fallback = policy(1)
    fallback.found_none(0)
    assert fallback.exhausted and not fallback.fallen_back
    assert not fallback.should_retry(9.9) and fallback.should_retry(10)
    fallback.retry_failed(10)
    assert not fallback.exhausted, "the others are tried again too"
    assert not fallback.should_retry(29.9) and fallback.should_retry(30)


def test_a_backend_that_recovers_at_the_end_of_the_list_is_left_alone():
    fallback = policy(1)
    fallback.found_none(0)
    fallback.succeeded()
    assert not fallback.exhausted and not fallback.should_retry(1e9)
    fallback.moved_to("litert", 20)
    fallback.found_none(25)
    fallback.succeeded()
    assert not fallback.exhausted and fallback.should_retry(30), "the preferred one is still to be returned to"


def test_a_backend_that_is_not_in_the_list_is_a_programming_error():
    with pytest.raises(ValueError, match="not in"):
        policy().moved_to("openvino", 0)
