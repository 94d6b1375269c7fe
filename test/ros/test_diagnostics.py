"""What goes into /diagnostics."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.serialization import deserialize_message, serialize_message

from robot_ai.pipeline.latency import STAGES, Percentiles, StageLatencies
from robot_ai.pipeline.ledger import DropCause, FrameLedger, LedgerSnapshot
from robot_ai.ros.diagnostics import (
    ERROR,
    OK,
    WARN,
    Status,
    add_frames,
    add_latencies,
    add_subscription,
    to_array,
)
from robot_ai.ros.qos import SubscriptionState


def status() -> Status:
    return Status("camera_detector: front", "front")


def test_level_is_that_of_the_worst_finding():
    made = status()
    assert made.to_message().level == DiagnosticStatus.OK
    assert made.to_message().message == "running"
    made.find(WARN, "dropping frames")
    made.find(OK, "model loaded")
    assert made.level == WARN
    made.find(ERROR, "no publisher")
    made.find(WARN, "slow")
    message = made.to_message()
    assert message.level == DiagnosticStatus.ERROR
    assert message.message == "dropping frames; model loaded; no publisher; slow"


def test_array_survives_the_wire():
    first, second = status(), Status("camera_detector: model", "stub")
    first.values["frames received"] = "3"
    second.find(ERROR, "failed")
    array = deserialize_message(serialize_message(to_array([first, second], Time(sec=5, nanosec=6))), DiagnosticArray)
    assert (array.header.stamp.sec, array.header.stamp.nanosec) == (5, 6)
    assert [(s.name, s.hardware_id, s.level) for s in array.status] == [
        ("camera_detector: front", "front", OK),
        ("camera_detector: model", "stub", ERROR),
    ]
    assert [(pair.key, pair.value) for pair in array.status[0].values] == [("frames received", "3")]


def test_frames_show_the_whole_ledger():
    ledger = FrameLedger()
    for number in range(10):
        ledger.receive(number / 10)
    for _ in range(3):
        ledger.publish(0.9)
    for cause, times in ((DropCause.STALE, 2), (DropCause.MALFORMED, 1), (DropCause.RATE, 1)):
        for _ in range(times):
            ledger.drop(cause)
    made = status()
    add_frames(made, ledger.snapshot(0.9), 0.1234)
    assert made.values == {
        "input rate (Hz)": "10.0",
        "output rate (Hz)": "0.0",
        "frames received": "10",
        "frames published": "3",
        "frames dropped: stale": "2",
        "frames dropped: malformed": "1",
        "frames dropped: failed": "0",
        "frames dropped: disabled": "0",
        "frames dropped: no_transform": "0",
        "frames dropped: rate": "1",
        "frames in flight": "3",
        "newest detection age (s)": "0.123",
    }
    assert made.level == OK


def test_no_detection_yet_is_never():
    made = status()
    add_frames(made, FrameLedger().snapshot(0), None)
    assert made.values["newest detection age (s)"] == "never"


def test_a_ledger_that_does_not_balance_is_an_error():
    made = status()
    add_frames(made, LedgerSnapshot(5, 1, dict.fromkeys(DropCause, 0), 1, 0, 0), None)
    assert made.level == ERROR
    assert "does not balance" in made.to_message().message


def test_latencies_are_shown_in_milliseconds_by_stage():
    latencies = StageLatencies()
    latencies.add({"forward": 0.0123, "queue": 0.0005})
    made = status()
    add_latencies(made, latencies.percentiles())
    assert made.values == {
        "queue p50 (ms)": "0.50",
        "queue p95 (ms)": "0.50",
        "forward p50 (ms)": "12.30",
        "forward p95 (ms)": "12.30",
    }
    made = status()
    add_latencies(made, {stage: Percentiles(0.001, 0.002) for stage in STAGES})
    assert len(made.values) == 2 * len(STAGES)
    assert made.values["publish p95 (ms)"] == "2.00"


def test_subscription_shows_its_publishers_and_problem():
    made = status()
    add_subscription(made, "/front/image", SubscriptionState(2, "best_effort", 7, ""))
    assert made.values == {
        "topic": "/front/image",
        "publishers": "2",
        "reliability": "best_effort",
        "frames lost before arrival": "7",
    }
    assert made.level == OK
    add_subscription(made, "/front/image", SubscriptionState(0, "reliable", 7, "no publisher on /front/image"))
    assert made.level == ERROR
    assert made.to_message().message == "no publisher on /front/image"
