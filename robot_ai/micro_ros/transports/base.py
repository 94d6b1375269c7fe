"""What every transport is to the server's loop."""

from __future__ import annotations

import ipaddress
import selectors
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

from robot_ai.micro_ros.middleware import TransportStatistics

Received = list[tuple[Hashable, bytes]]
"""Messages with the addresses they came from."""


class Transport(ABC):
    """One way in. Every method is for the network thread and returns at once.

    What it `watch`es is read when the loop says so. `disconnected` is called with an address that will not be used
    again.
    """

    name: str

    def __init__(self) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self.rejected: Counter[str] = Counter()
        self.disconnected: Callable[[Hashable], None] = lambda _: None
        self._loop: selectors.BaseSelector | None = None
        self._index = -1

    def attach(self, loop: selectors.BaseSelector, index: int, disconnected: Callable[[Hashable], None]) -> None:
        """Tells the transport which loop it is in, and its number there."""
        self._loop = loop
        self._index = index
        self.disconnected = disconnected

    @property
    def loop(self) -> selectors.BaseSelector:
        """The loop it is in."""
        assert self._loop is not None, "a transport is attached before it is opened"
        return self._loop

    def watch(self, descriptor: Any, ready: Callable[[int], Received]) -> None:
        """Has `ready` called with the events when there is something to read."""
        self.loop.register(descriptor, selectors.EVENT_READ, (self._index, ready))

    def watch_writing(self, descriptor: Any, wanted: bool) -> None:
        """Has it called also when there is room to write, or no longer."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        key = self.loop.get_key(descriptor)
        if key.events != events:
            self.loop.modify(descriptor, events, key.data)

    @abstractmethod
    def open(self, now: float) -> None:
        """Begins. Raises TransportError for an address that cannot be had; a serial port that is absent is no error."""

    @abstractmethod
    def send(self, address: Hashable, message: bytes) -> None:
        """Sends a message, or loses it when there is no room or no line."""

    @abstractmethod
    def describe(self, address: Hashable) -> str:
        """The transport and address for people."""

    @abstractmethod
    def close(self) -> None:
        """Ends."""

    def poll(self, now: float) -> float | None:
        """Does what is due at monotonic time `now`; returns when to come again, or None."""
        return None

    def flush(self) -> None:  # noqa: B027
        """Sends what `send` only gathered; nothing, where it sends at once."""

    def statistics(self) -> TransportStatistics:
        """The transport's figures."""
        state = self.state()
        return TransportStatistics(
            self.name, state == "open", state, self.bytes_in, self.bytes_out, dict(self.rejections())
        )

    def state(self) -> str:
        """ "open", or what is wrong."""
        return "open"

    def rejections(self) -> Counter[str]:
        """What was thrown away, by cause."""
        return self.rejected


class AllowedNetworks:
    """Which addresses may speak."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._known: dict[str, bool] = {}

    def admit(self, host: str) -> bool:
        """Whether a numeric address may speak."""
        if not self._networks:
            return True
        known = self._known.get(host)
        if known is None:
            if len(self._known) > 4096:
                self._known.clear()
            known = self._known[host] = self._check(host)
        return known

    def _check(self, host: str) -> bool:
        address: Any = ipaddress.ip_address(host.partition("%")[0])
        # A v4 sender at a v6 socket.
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


def show_address(host: str, port: int) -> str:
    """host:port, with brackets around a v6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
