"""Settings of the agent and of its transports: plain, immutable values, checked when they are made."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from robot_ai.micro_ros.errors import AgentSettingError

_KEY = re.compile(r"[0-9A-F]{8}\Z")


@dataclass(frozen=True)
class AgentSettings:
    """Limits and habits of the agent; durations are seconds.

    `allowed_keys` are eight upper-case hexadecimal digits each; empty admits every client. `input_history` is how many
    messages a client's reliable input stream holds (RMW_UXRCE_STREAM_HISTORY_INPUT, 4 in micro-ROS): nothing on the
    wire tells it, and a larger sample would hang the real client. `input_histories` names clients, by key, that were
    built with another.

    A client that was silent for `liveliness` is dead; from then on it is probed, and removed once it was silent for
    `remove_after` (0 keeps it for ever, as the stock agent does). A client built with hard liveliness brings its own
    time instead. With `probe_period` above 0, living clients are asked for a sign of life that often while they are
    silent, which also measures the round trip.

    With `answer_cancel` a canceled READ_DATA is answered. The stock agent says nothing, and a micro-ROS client then
    waits a second for each subscription, service and client that it destroys.

    `max_sample` is the largest sample from a client in bytes, `max_backlog` the most samples kept per reader whose
    history is KEEP_ALL, `max_message_rate` the most messages per second taken from one client (0: no limit),
    `max_stranger_rate` the most answered to one address that has no session: logins and pings.
    """

    allowed_keys: frozenset[str] = frozenset()
    max_clients: int = 64
    max_entities: int = 512
    max_sample: int = 1 << 20
    max_backlog: int = 256
    max_message_rate: float = 0.0
    max_stranger_rate: float = 50.0
    input_history: int = 4
    input_histories: Mapping[str, int] = field(default_factory=dict)
    liveliness: float = 30.0
    remove_after: float = 60.0
    probe_period: float = 0.0
    answer_cancel: bool = True
    references: Mapping[str, str] = field(default_factory=dict)
    """XML of the entities that clients may name (REF representation), by profile name; see `load_references`."""

    def __post_init__(self) -> None:
        for key in (*self.allowed_keys, *self.input_histories):
            if not _KEY.match(key):
                raise AgentSettingError(f"client key {key!r}: eight hexadecimal digits, upper case, are expected")
        for name in ("max_clients", "max_entities", "max_sample", "max_backlog", "input_history"):
            if getattr(self, name) < 1:
                raise AgentSettingError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("liveliness", "remove_after", "probe_period", "max_message_rate", "max_stranger_rate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise AgentSettingError(f"{name} is {getattr(self, name)}: it must be finite and not negative")
        if self.liveliness == 0:
            raise AgentSettingError("liveliness is 0: every client would be dead at once; 30 is usual")


@dataclass(frozen=True)
class UdpSettings:
    """Listen for datagrams. `host` is an address, v4 or v6 ("::1"); "0.0.0.0" and "::" listen on all interfaces.

    `allowed_networks` are CIDR blocks of senders; empty admits all that can reach the port.
    """

    host: str = "127.0.0.1"
    port: int = 8888
    allowed_networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_listener(self.host, self.port, self.allowed_networks)


@dataclass(frozen=True)
class TcpSettings:
    """Listen for connections; each message goes with its length, two bytes, little endian, before it."""

    host: str = "127.0.0.1"
    port: int = 8888
    allowed_networks: tuple[str, ...] = ()
    max_connections: int = 64

    def __post_init__(self) -> None:
        _check_listener(self.host, self.port, self.allowed_networks)
        if self.max_connections < 1:
            raise AgentSettingError(f"max_connections is {self.max_connections}: it must be at least 1")


@dataclass(frozen=True)
class SerialSettings:
    """A serial port or pseudo-terminal; several ports are several of these.

    `device` is best a name below /dev/serial/by-id, which survives replugging. 8N1, no flow control.
    """

    device: str
    baud_rate: int = 115200

    def __post_init__(self) -> None:
        if not self.device:
            raise AgentSettingError("the serial device has no name: give a path such as /dev/serial/by-id/usb-…")
        if self.baud_rate < 1:
            raise AgentSettingError(f"baud rate {self.baud_rate}: it must be positive, 115200 is usual")


TransportSettings: TypeAlias = UdpSettings | TcpSettings | SerialSettings


def _check_listener(host: str, port: int, networks: tuple[str, ...]) -> None:
    try:
        ipaddress.ip_address(host)
        for network in networks:
            ipaddress.ip_network(network)
    except ValueError as error:
        raise AgentSettingError(f"{error}: numeric addresses and CIDR blocks are expected") from error
    if not 0 <= port <= 65535:
        raise AgentSettingError(f"port {port}: 1 to 65535 are expected, or 0 for any free one")
