"""Running an XRCE client over a wire: UDP, or a pseudo-terminal whose cable can be pulled."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from robot_ai.micro_ros.client import Event, XrceClient
from robot_ai.micro_ros.framing import AGENT_ADDRESS, CLIENT_ADDRESS, Deframer, frame

_POLL = 0.01
_READ_SIZE = 4096
_Wanted = TypeVar("_Wanted", bound=Event)


class Link(Protocol):
    """What carries messages. Both lose what cannot be sent or received now; neither raises for a broken line."""

    def send(self, message: bytes) -> None:
        """Sends one message."""
        ...

    def receive(self, timeout: float) -> list[bytes]:
        """The messages that come within `timeout` seconds, as soon as there is one."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


class UdpLink:
    """Datagrams to an agent at a numeric address, v4 or v6."""

    def __init__(self, host: str = "127.0.0.1", port: int = 8888) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((host, port))
        self._socket.setblocking(False)

    def send(self, message: bytes) -> None:
        """Sends one message."""
        # Nobody listens, or the buffer is full: a datagram may be lost.
        with contextlib.suppress(OSError):
            self._socket.send(message)

    def receive(self, timeout: float) -> list[bytes]:
        """The messages that come within `timeout` seconds, as soon as there is one."""
        messages: list[bytes] = []
        if select.select([self._socket], [], [], timeout)[0]:
            with contextlib.suppress(OSError):
                while len(messages) < 64:
                    messages.append(self._socket.recv(0xFFFF))
        return messages

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


class SerialLink:
    """Frames on a file descriptor: an open serial port or pseudo-terminal, which is the link's from now on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._deframer = Deframer(CLIENT_ADDRESS)
        os.set_blocking(descriptor, False)

    def send(self, message: bytes) -> None:
        """Sends one frame; waits while the line is busy, at most a second."""
        data = memoryview(frame(message, CLIENT_ADDRESS, AGENT_ADDRESS))
        with contextlib.suppress(OSError):
            while data and select.select([], [self._descriptor], [], 1.0)[1]:
                data = data[os.write(self._descriptor, data) :]

    def receive(self, timeout: float) -> list[bytes]:
        """The messages that come within `timeout` seconds, as soon as there is one."""
        try:
            if not select.select([self._descriptor], [], [], timeout)[0]:
                return []
            data = os.read(self._descriptor, _READ_SIZE)
        except OSError:
            # Nobody has the other end open, or the cable was pulled; it may come back.
            time.sleep(min(timeout, _POLL))
            return []
        return [payload for _, payload in self._deframer.feed(data)]

    def close(self) -> None:
        """Closes the line."""
        os.close(self._descriptor)


class PtyLink(SerialLink):
    """A microcontroller on a pseudo-terminal: the agent opens `device`. Closing it pulls the cable.

    With `path`, a symbolic link of that name is `device`, as /dev/serial/by-id does it: unplugged it is gone, and
    another PtyLink with the same path plugs it in again.
    """

    def __init__(self, path: Path | None = None) -> None:
        controller, terminal = os.openpty()
        tty.setraw(terminal)
        name = os.ttyname(terminal)
        # Kept open by us, or the line would report a hang-up until the agent opens it.
        self._terminal = terminal
        self._path = path
        self.device = name if path is None else str(path)
        if path is not None:
            path.unlink(missing_ok=True)
            path.symlink_to(name)
        super().__init__(controller)

    def close(self) -> None:
        """Pulls the cable."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        os.close(self._terminal)
        super().close()


class ClientRunner:
    """Runs a client over a link, in the caller's thread: `spin` for events, `wait` for one of a kind."""

    def __init__(self, client: XrceClient, link: Link) -> None:
        self.client = client
        self.link = link
        self._kept: list[Event] = []

    def __enter__(self) -> ClientRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.close()

    def login(self, timeout: float = 3.0) -> bool:
        """Begins the session; whether the agent took it."""
        self.client.login(time.monotonic())
        deadline = time.monotonic() + timeout
        while not self.client.connected and time.monotonic() < deadline:
            self.step(_POLL)
        return self.client.connected

    def flush(self) -> None:
        """Sends what the client has to say."""
        output = self.client.output
        for message in output:
            self.link.send(message)
        output.clear()

    def step(self, timeout: float) -> list[Event]:
        """Sends, waits up to `timeout` seconds for messages, and returns what they brought."""
        self.client.poll(time.monotonic())
        self.flush()
        events, self._kept = self._kept, []
        for message in self.link.receive(0.0 if events else timeout):
            events += self.client.receive(message, time.monotonic())
        self.flush()
        return events

    def spin(self, seconds: float) -> list[Event]:
        """Everything that comes within `seconds`."""
        events: list[Event] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            events += self.step(min(_POLL, left))
        return events

    def wait(
        self, kind: type[_Wanted], where: Callable[[_Wanted], bool] = lambda _: True, timeout: float = 3.0
    ) -> _Wanted | None:
        """The first event of a kind for which `where` holds, or None; what comes before it is passed over."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            events = self.step(_POLL)
            for i, event in enumerate(events):
                if isinstance(event, kind) and where(event):
                    self._kept = events[i + 1 :]
                    return event
        return None

    def confirm(self, timeout: float = 3.0) -> bool:
        """Waits until the agent has acknowledged everything reliable; whether it did. Events are kept for later."""
        deadline = time.monotonic() + timeout
        self.flush()
        events: list[Event] = []
        while self.client.unacknowledged and time.monotonic() < deadline:
            events += self.step(_POLL)
        self._kept = events + self._kept
        return not self.client.unacknowledged
