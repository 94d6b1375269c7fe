"""The agent on its transports: one thread and one loop for all clients.

The protocol core is for one thread at a time: whoever holds the server's lock. That is the network thread except while
it waits for the transports; a sample that comes from ROS then goes to its client at once, on the thread that brought
it. Handing it to the network thread instead costs a wake-up and two turns of the interpreter's lock, a third of a round
trip through ROS. Nobody but the network thread ever waits for the lock.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias, cast

from robot_ai.micro_ros.agent import Agent, Peer
from robot_ai.micro_ros.config import AgentSettings, SerialSettings, TcpSettings, TransportSettings, UdpSettings
from robot_ai.micro_ros.middleware import AgentStatistics, Handle, Middleware
from robot_ai.micro_ros.notices import LOGGER
from robot_ai.micro_ros.transports.base import Transport
from robot_ai.micro_ros.transports.serial_port import SerialTransport
from robot_ai.micro_ros.transports.tcp import TcpTransport
from robot_ai.micro_ros.transports.udp import UdpTransport

_Address: TypeAlias = tuple[int, Hashable]
"""A peer: the transport's number and the address there."""

_LONGEST_SLEEP = 1.0
_STATISTICS_PERIOD = 0.2
_DELIVERIES_AT_ONCE = 256


class AgentInbox:
    """What the ROS side tells the agent; see `Inbox`. Any thread may call it.

    `arrived` is called, by the same thread, after something was put in.
    """

    def __init__(self, arrived: Callable[[], None]) -> None:
        self._arrived = arrived
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def deliver(self, reader: Handle, cdr: bytes) -> None:
        """A sample for the client's datareader."""
        self._put(Agent.deliver, (reader, cdr))

    def deliver_request(self, replier: Handle, token: int, cdr: bytes) -> None:
        """A request for the client's replier, named by `token`."""
        self._put(Agent.deliver_request, (replier, token, cdr))

    def deliver_reply(self, requester: Handle, request_id: int, cdr: bytes) -> None:
        """The answer to the client's call `request_id`."""
        self._put(Agent.deliver_reply, (requester, request_id, cdr))

    def entity_failed(self, handle: Handle, reason: str) -> None:
        """An accepted entity could not be made."""
        self._put(_fail, (handle, reason))

    def empty(self, agent: Agent, now: float) -> None:
        """Hands what waits to the agent, a part of it when there is much. For who holds the server's lock."""
        waiting = self._waiting
        for _ in range(_DELIVERIES_AT_ONCE):
            if not waiting:
                return
            method, arguments = waiting.popleft()
            try:
                method(agent, *arguments, now)
            # One sample that cannot be delivered must not end the thread that serves all clients.
            except Exception:  # noqa: BLE001
                agent.rejected["internal errors"] += 1
                LOGGER.exception("a sample from ROS could not be delivered")

    def _put(self, method: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._waiting.append((method, arguments))
        self._arrived()


def _fail(agent: Agent, handle: Handle, reason: str, _now: float) -> None:
    agent.entity_failed(handle, reason)


class AgentServer:
    """Serves clients on all `transports` until `stop`.

    `inbox` may be used, and handed to the middleware, before `start`. The middleware's methods are called on the
    server's thread, whose name is "xrce_agent", and never while a method of `inbox` runs.
    """

    def __init__(
        self, middleware: Middleware, transports: Sequence[TransportSettings], settings: AgentSettings | None = None
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._transports = [_make(transport) for transport in transports]
        self._agent = Agent(middleware, settings, self._describe, self._host)
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, (-1, self._drain))
        self.inbox = AgentInbox(self._arrived)
        self._lock = threading.Lock()
        self._sleeps_until = 0.0
        # Whether the network thread holds the lock or is about to: it looks into the inbox before it sleeps again.
        self._awake = True
        self._thread = threading.Thread(target=self._run, name="xrce_agent", daemon=True)
        self._stopping = False
        self._statistics = AgentStatistics(time.monotonic(), (), ())
        self._statistics_at = 0.0

    def start(self) -> None:
        """Opens the transports and starts the thread.

        Raises TransportError when an address cannot be had; a serial port that is absent is waited for instead.
        """
        now = time.monotonic()
        for index, transport in enumerate(self._transports):
            transport.attach(self._selector, index, self._disconnected(index))
        try:
            for transport in self._transports:
                transport.open(now)
        except Exception:
            self._close()
            raise
        self._observe(now)
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> bool:
        """Removes all clients and closes everything; returns whether the thread ended within `timeout` seconds."""
        self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def statistics(self) -> AgentStatistics:
        """The figures, at most a second old; for any thread."""
        return self._statistics

    def ports(self) -> list[int]:
        """The UDP and TCP ports in use, in the order of the transports; for those that were asked for port 0."""
        return [t.port for t in self._transports if isinstance(t, UdpTransport | TcpTransport)]

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        # The thread's last word: without it, a robot would only see its clients fall silent.
        except Exception:  # noqa: BLE001
            LOGGER.exception("the XRCE agent ends because of an error of its own")
        finally:
            with self._lock:
                self._agent.close()
                self._send()
                self._close()

    def _turn(self) -> None:
        """Waits until something happens, and serves it."""
        with self._lock:
            pause = self._sleep()
            self._awake = False
            # What came until now found us awake and did not wake us.
            pause = 0.0 if self.inbox else pause
        ready = self._selector.select(pause)
        self._awake = True
        with self._lock:
            self._serve(ready)

    def _serve(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        agent = self._agent
        for key, events in ready:
            index, receive = key.data
            now = time.monotonic()
            for address, data in receive(events):
                agent.receive((index, address), data, now)
            # Answers go out before the next transport is looked at.
            if agent.output:
                self._send()
        now = time.monotonic()
        self.inbox.empty(agent, now)
        agent.poll(now)
        if agent.output:
            self._send()
        if now - self._statistics_at >= _STATISTICS_PERIOD:
            self._observe(now)

    def _arrived(self) -> None:
        """Something came from ROS: serves it at once if the network thread sleeps, on the thread that brought it."""
        if self._awake:
            return
        if not self._lock.acquire(blocking=False):
            self._wake()
            return
        try:
            self.inbox.empty(self._agent, time.monotonic())
            if self._agent.output:
                self._send()
            due = self._agent.next_wake()
            overslept = due is not None and due < self._sleeps_until
        finally:
            self._lock.release()
        if self.inbox or overslept:
            self._wake()

    def _sleep(self) -> float:
        """Seconds until there is something to do that nobody wakes us for."""
        now = time.monotonic()
        until = now + _LONGEST_SLEEP
        for transport in self._transports:
            wake = transport.poll(now)
            if wake is not None and wake < until:
                until = wake
        wake = self._agent.next_wake()
        if wake is not None and wake < until:
            until = wake
        self._sleeps_until = until
        return until - now if until > now else 0.0

    def _send(self) -> None:
        transports = self._transports
        output = self._agent.output
        for peer, message in output:
            index, address = cast(_Address, peer)
            transports[index].send(address, message)
        output.clear()
        for transport in transports:
            transport.flush()

    def _observe(self, now: float) -> None:
        self._statistics_at = now
        transports = tuple(transport.statistics() for transport in self._transports)
        self._statistics = AgentStatistics(now, self._agent.statistics(), transports, dict(self._agent.rejected))

    def _describe(self, peer: Peer) -> str:
        index, address = cast(_Address, peer)
        return self._transports[index].describe(address)

    def _host(self, peer: Peer) -> Hashable:
        index, address = cast(_Address, peer)
        return index, address[0] if isinstance(address, tuple) else None

    def _disconnected(self, index: int) -> Callable[[Hashable], None]:
        return lambda address: self._agent.disconnect((index, address), "its connection ended")

    def _wake(self) -> None:
        # A full buffer wakes as well as another byte; a closed one belongs to a server that has stopped.
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _drain(self, _events: int) -> list[tuple[Hashable, bytes]]:
        with contextlib.suppress(OSError):
            while self._woken.recv(4096):
                pass
        return []

    def _close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._selector.close()
        self._waker.close()
        self._woken.close()


def _make(settings: TransportSettings) -> Transport:
    if isinstance(settings, UdpSettings):
        return UdpTransport(settings)
    if isinstance(settings, TcpSettings):
        return TcpTransport(settings)
    if isinstance(settings, SerialSettings):
        return SerialTransport(settings)
    raise TypeError(f"{settings!r}: settings of a transport are expected")
