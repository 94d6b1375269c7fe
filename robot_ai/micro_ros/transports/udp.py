"""Datagrams: one socket for all clients."""

from __future__ import annotations

import socket
from collections.abc import Hashable
from typing import Any, cast

from robot_ai.micro_ros.config import UdpSettings
from robot_ai.micro_ros.errors import TransportError
from robot_ai.micro_ros.transports.base import AllowedNetworks, Received, Transport, show_address

_LARGEST = 0xFFFF
_AT_ONCE = 128
# Room for bursts: fifty clients that speak at the same moment, and a flood until it is recognized.
_RECEIVE_BUFFER = 4 << 20


class UdpTransport(Transport):
    """Listens on one address. When more comes than is served, each sender gets an equal share of what is."""

    def __init__(self, settings: UdpSettings) -> None:
        super().__init__()
        self._settings = settings
        self._allowed = AllowedNetworks(settings.allowed_networks)
        self._socket: socket.socket | None = None
        self.name = f"udp {show_address(settings.host, settings.port)}"

    @property
    def port(self) -> int:
        """The port it listens on, once open: the chosen one, or a free one for 0."""
        return 0 if self._socket is None else int(self._socket.getsockname()[1])

    def open(self, now: float) -> None:
        """Binds the socket. Raises TransportError."""
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self._socket.bind((self._settings.host, self._settings.port))
        except OSError as error:
            self._socket.close()
            self._socket = None
            raise TransportError(f"cannot listen on {self.name}: {error}; is another agent running?") from error
        self._socket.setblocking(False)
        self.name = f"udp {show_address(self._settings.host, self.port)}"
        self.watch(self._socket, self._readable)

    def send(self, address: Hashable, message: bytes) -> None:
        """Sends a datagram; a full buffer or a vanished receiver loses it."""
        if self._socket is None:
            return
        try:
            self.bytes_out += self._socket.sendto(message, cast(Any, address))
        except OSError:
            self.rejected["datagrams that could not be sent"] += 1

    def describe(self, address: Hashable) -> str:
        """ "udp host:port"."""
        host, port = cast(tuple[Any, ...], address)[:2]
        return f"udp {show_address(host, port)}"

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self.loop.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self, _events: int) -> Received:
        assert self._socket is not None, "a closed socket is not registered"
        receive = self._socket.recvfrom
        received: Received = []
        size = 0
        try:
            for _ in range(_AT_ONCE):
                data, address = receive(_LARGEST)
                size += len(data)
                received.append((address, data))
        except OSError:
            # Nothing more for now, or a sender that is gone: the kernel tells us of it here.
            pass
        self.bytes_in += size
        if self._settings.allowed_networks:
            received = self._admitted(received)
        return self._share(received) if len(received) == _AT_ONCE else received

    def _admitted(self, received: Received) -> Received:
        admitted = [(address, data) for address, data in received if self._allowed.admit(cast(Any, address)[0])]
        if len(admitted) < len(received):
            self.rejected["senders not allowed"] += len(received) - len(admitted)
        return admitted

    def _share(self, received: Received) -> Received:
        """As many messages of each sender as its fair share: a flood must not cost the others theirs."""
        senders: dict[Hashable, int] = {}
        for address, _ in received:
            senders[address] = senders.get(address, 0) + 1
        if len(senders) == 1:
            return received
        share = max(_AT_ONCE // 4 // len(senders), 4)
        taken = dict.fromkeys(senders, 0)
        kept: Received = []
        for address, data in received:
            taken[address] += 1
            if taken[address] <= share:
                kept.append((address, data))
        self.rejected["messages above a sender's share while overloaded"] += len(received) - len(kept)
        return kept
