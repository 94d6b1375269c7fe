"""What the agent knows of its clients and transports, on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping

from robot_ai.micro_ros.middleware import AgentStatistics, ClientStatistics
from robot_ai.ros.diagnostics import ERROR, WARN, Status

_RATES = ("messages_in", "messages_out", "samples_in", "samples_out")


class ClientReports:
    """Makes a status for each client; rates are those since the report before."""

    def __init__(self) -> None:
        self._before: AgentStatistics | None = None

    def agent(self, status: Status, now: AgentStatistics) -> None:
        """Adds the transports and what was rejected."""
        for transport in now.transports:
            status.values[transport.name] = f"{transport.state}, {transport.bytes_in} B in, {transport.bytes_out} B out"
            status.values |= {f"{transport.name}: rejected, {c}": str(n) for c, n in transport.rejected.items()}
            if not transport.open:
                status.find(ERROR, f"{transport.name}: {transport.state}")
        status.values |= {f"rejected, {cause}": str(count) for cause, count in now.rejected.items()}
        status.values["clients"] = str(len(now.clients))

    def clients(
        self, prefix: str, now: AgentStatistics, drops: Mapping[str, Mapping[str, int]], nodes: Mapping[str, list[str]]
    ) -> list[Status]:
        """A status for each client; `drops` and `nodes` are the ROS side's, by client key."""
        before = {c.client.key: c for c in self._before.clients} if self._before else {}
        span = now.time - self._before.time if self._before else 0.0
        self._before = now
        return [
            _describe(
                Status(f"{prefix}: client {c.client.key}", c.client.link),
                now.time,
                c,
                {f"{name} (1/s)": f"{rate:.1f}" for name, rate in _rates(before.get(c.client.key), c, span).items()}
                | {"nodes": ", ".join(nodes.get(c.client.key, []))},
                drops.get(c.client.key, {}),
            )
            for c in now.clients
        ]


def _rates(before: ClientStatistics | None, now: ClientStatistics, span: float) -> dict[str, float]:
    if before is None or span <= 0 or before.connected_at != now.connected_at:
        return {name.replace("_", " "): 0.0 for name in _RATES}
    return {name.replace("_", " "): (getattr(now, name) - getattr(before, name)) / span for name in _RATES}


def _describe(
    status: Status, time: float, client: ClientStatistics, more: Mapping[str, str], drops: Mapping[str, int]
) -> Status:
    status.values = {
        "state": "silent" if client.silent else "connected",
        "transport": client.client.link,
        "connected for (s)": f"{time - client.connected_at:.1f}",
        "last heard (s)": f"{time - client.heard_at:.2f}",
        "entities": str(client.entities),
        **more,
        "messages missed": str(client.missed),
        "messages twice": str(client.duplicates),
        "messages sent again": str(client.resent),
        "messages waiting": str(client.waiting),
        "round trip (ms)": "unknown" if client.round_trip is None else f"{client.round_trip * 1e3:.2f}",
        "clock offset (ms)": "unknown" if client.clock_offset is None else f"{client.clock_offset * 1e3:.1f}",
    }
    for cause, count in {**client.dropped, **drops}.items():
        status.values[f"samples dropped: {cause}"] = str(count)
    if client.silent:
        status.find(WARN, f"silent for {time - client.heard_at:.0f} s")
    return status
