"""What a detector says of itself on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from robot_ai.pipeline.latency import Percentiles
from robot_ai.pipeline.ledger import DropCause, LedgerSnapshot
from robot_ai.ros.qos import SubscriptionState

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@dataclass
class Status:
    """One DiagnosticStatus in the making: its level is that of its worst finding."""

    name: str
    hardware_id: str
    level: bytes = OK
    findings: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def find(self, level: bytes, message: str) -> None:
        """Adds a finding."""
        self.level = max(self.level, level)
        self.findings.append(message)

    def to_message(self) -> DiagnosticStatus:
        """The status as a message; `running` when nothing was found."""
        return DiagnosticStatus(
            level=self.level,
            name=self.name,
            hardware_id=self.hardware_id,
            message="; ".join(self.findings) or "running",
            values=[KeyValue(key=key, value=value) for key, value in self.values.items()],
        )


def add_frames(status: Status, ledger: LedgerSnapshot, age: float | None) -> None:
    """Adds the frame ledger, the rates and the age, in seconds, of the newest detection."""
    status.values |= {
        "input rate (Hz)": f"{ledger.input_rate:.1f}",
        "output rate (Hz)": f"{ledger.output_rate:.1f}",
        "frames received": str(ledger.received),
        "frames published": str(ledger.published),
        **{f"frames dropped: {cause.value}": str(ledger.dropped[cause]) for cause in DropCause},
        "frames in flight": str(ledger.in_flight),
        "newest detection age (s)": "never" if age is None else f"{age:.3f}",
    }
    if not ledger.balanced:
        status.find(ERROR, "the frame ledger does not balance: please report this as a bug")


def add_latencies(status: Status, percentiles: Mapping[str, Percentiles]) -> None:
    """Adds the median and the 95th percentile of each stage."""
    for stage, value in percentiles.items():
        status.values[f"{stage} p50 (ms)"] = f"{value.p50 * 1e3:.2f}"
        status.values[f"{stage} p95 (ms)"] = f"{value.p95 * 1e3:.2f}"


def add_subscription(status: Status, topic: str, state: SubscriptionState) -> None:
    """Adds what is known of the publishers."""
    status.values |= {
        "topic": topic,
        "publishers": str(state.publishers),
        "reliability": state.reliability,
        "frames lost before arrival": str(state.lost),
    }
    if state.problem:
        status.find(ERROR, state.problem)


def to_array(statuses: Sequence[Status], stamp: Time) -> DiagnosticArray:
    """Collects statuses under one stamp."""
    message = DiagnosticArray(status=[status.to_message() for status in statuses])
    message.header.stamp = stamp
    return message
