"""Connections: each carries messages with their length, two bytes, little endian, before them."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Hashable
from typing import cast

from robot_ai.micro_ros.config import TcpSettings
from robot_ai.micro_ros.errors import TransportError
from robot_ai.micro_ros.transports.base import AllowedNetworks, Received, Transport, show_address

_READ_SIZE = 1 << 16
_MOST_UNSENT = 1 << 18
_LENGTH_SIZE = 2
_REST = 1.0


class _Connection:
    """One client's connection and what is on its way."""

    def __init__(self, connection: socket.socket, address: tuple[str, int]) -> None:
        self.socket = connection
        self.address = address
        self.received = bytearray()
        self.unsent = bytearray()


class TcpTransport(Transport):
    """Listens on one address. A client whose connection ends counts as silent until it comes back with another."""

    def __init__(self, settings: TcpSettings) -> None:
        super().__init__()
        self._settings = settings
        self._allowed = AllowedNetworks(settings.allowed_networks)
        self._listener: socket.socket | None = None
        # When it listens again after a connection that could not be accepted: asking at once would ask without end.
        self._rests_until: float | None = None
        self._now = 0.0
        self._connections: dict[Hashable, _Connection] = {}
        self.name = f"tcp {show_address(settings.host, settings.port)}"

    @property
    def port(self) -> int:
        """The port it listens on, once open."""
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    def open(self, now: float) -> None:
        """Begins to listen. Raises TransportError."""
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        try:
            self._listener = socket.create_server((self._settings.host, self._settings.port), family=family)
        except OSError as error:
            raise TransportError(f"cannot listen on {self.name}: {error}; is another agent running?") from error
        self._listener.setblocking(False)
        self.name = f"tcp {show_address(self._settings.host, self.port)}"
        self.watch(self._listener, self._accept)

    def poll(self, now: float) -> float | None:
        """Listens again when the rest is over."""
        self._now = now
        if self._rests_until is not None and now >= self._rests_until and self._listener is not None:
            self._rests_until = None
            self.watch(self._listener, self._accept)
        return self._rests_until

    def send(self, address: Hashable, message: bytes) -> None:
        """Sends a message; one that finds too much unsent is lost, as a datagram would be."""
        connection = self._connections.get(address)
        if connection is None:
            self.rejected["messages for a connection that has ended"] += 1
            return
        if len(connection.unsent) > _MOST_UNSENT:
            self.rejected["messages that a slow connection did not take"] += 1
            return
        connection.unsent += len(message).to_bytes(_LENGTH_SIZE, "little") + message
        self._write(connection)

    def describe(self, address: Hashable) -> str:
        """ "tcp host:port"."""
        return f"tcp {show_address(*cast(tuple[str, int], address)[:2])}"

    def close(self) -> None:
        """Ends all connections."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        if self._listener is not None:
            if self._rests_until is None:
                self.loop.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, _events: int) -> Received:
        assert self._listener is not None, "a closed listener is not registered"
        try:
            accepted, address = self._listener.accept()
        except BlockingIOError:
            return []
        except OSError:
            # Too many open files, most likely.
            self.rejected["connections that could not be accepted"] += 1
            self.loop.unregister(self._listener)
            self._rests_until = self._now + _REST
            return []
        if not self._allowed.admit(address[0]):
            self.rejected["senders not allowed"] += 1
            accepted.close()
        elif len(self._connections) >= self._settings.max_connections:
            self.rejected["connections above max_connections"] += 1
            accepted.close()
        else:
            self._welcome(accepted, address)
        return []

    def _welcome(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        accepted.setblocking(False)
        # A client may have gone already; that is noticed when it is read.
        with contextlib.suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(accepted, address)
        self._connections[address] = connection
        self.watch(accepted, lambda events: self._ready(connection, events))

    def _ready(self, connection: _Connection, events: int) -> Received:
        if events & selectors.EVENT_WRITE:
            self._write(connection)
        if not events & selectors.EVENT_READ:
            return []
        try:
            data = connection.socket.recv(_READ_SIZE)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return []
        self.bytes_in += len(data)
        return self._cut(connection, data)

    def _cut(self, connection: _Connection, data: bytes) -> Received:
        buffer = connection.received
        buffer += data
        received: Received = []
        position = 0
        while len(buffer) - position >= _LENGTH_SIZE:
            end = position + _LENGTH_SIZE + int.from_bytes(buffer[position : position + _LENGTH_SIZE], "little")
            if end > len(buffer):
                break
            received.append((connection.address, bytes(buffer[position + _LENGTH_SIZE : end])))
            position = end
        del buffer[:position]
        return received

    def _write(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The end is noticed by the next reading, from the loop: not in the middle of somebody's message.
            connection.unsent.clear()
            return
        self.bytes_out += sent
        del connection.unsent[:sent]
        if connection.address in self._connections:
            self.watch_writing(connection.socket, bool(connection.unsent))

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.address]
        self.loop.unregister(connection.socket)
        connection.socket.close()
        self.disconnected(connection.address)
