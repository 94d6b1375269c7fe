"""The agent: which message belongs to which client, logins, clocks. Bytes and times in, bytes out; no socket, no ROS.

All methods are for one thread at a time. A peer is where a message came from and where answers go: any hashable value
that the transports understand. What is to be sent gathers in `output`, which the caller empties.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import TypeAlias

from robot_ai.micro_ros import wire
from robot_ai.micro_ros.config import AgentSettings
from robot_ai.micro_ros.errors import MessageError
from robot_ai.micro_ros.liveliness import Liveliness
from robot_ai.micro_ros.middleware import (
    ClientChange,
    ClientEvent,
    ClientInfo,
    ClientStatistics,
    Handle,
    Middleware,
    Refusal,
    Status,
)
from robot_ai.micro_ros.notices import LOGGER, Notices
from robot_ai.micro_ros.objects import Entity
from robot_ai.micro_ros.session import Session
from robot_ai.micro_ros.strangers import Strangers
from robot_ai.micro_ros.wire import HEADER, Submessage

Peer: TypeAlias = Hashable

TICK = 0.2
"""Seconds between HEARTBEATs, and between looks at liveliness, as with the stock agent."""

# A STATUS and the smallest piece of a fragment must fit.
_SMALLEST_MTU = 32
# Seconds in which a client is to make its first object, when all places are taken.
_TIME_TO_MAKE = 2.0
_NO_SESSION = (wire.SESSION_NONE, wire.SESSION_NONE_WITH_KEY)


class Agent:
    """All clients.

    `describe(peer)` names a peer for people, `host(peer)` tells what several peers have in common that are on one
    computer or line; `utc` gives nanoseconds since the epoch.
    """

    def __init__(
        self,
        middleware: Middleware,
        settings: AgentSettings | None = None,
        describe: Callable[[Peer], str] = str,
        host: Callable[[Peer], Hashable] = lambda peer: peer,
        utc: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings = settings or AgentSettings()
        self.middleware = middleware
        self.utc = utc
        self.output: list[tuple[Peer, bytes]] = []
        self.rejected: Counter[str] = Counter()
        self._describe = describe
        self._host = host
        self._strangers = Strangers(self.settings.max_stranger_rate)
        self._by_peer: dict[Peer, Session] = {}
        self._by_key: dict[bytes, Session] = {}
        self.entities: dict[Handle, Entity] = {}
        self._handles = itertools.count(1)
        self._timers: list[tuple[float, int, Entity]] = []
        self._timer_numbers = itertools.count()
        self._notices = Notices()
        self._next_tick: float | None = None
        self._now = 0.0

    def receive(self, peer: Peer, data: bytes, now: float) -> None:
        """Takes one message that came from `peer` at monotonic time `now`. Raises nothing, whatever the bytes are."""
        self._now = now
        if len(data) < 4:
            self.rejected["shorter than a header"] += 1
            return
        session_id = data[0]
        try:
            if session_id in _NO_SESSION:
                self._outside(peer, data, now)
                return
            session = self._by_peer.get(peer) if session_id & 0x80 else self._by_header_key(peer, data)
            if session is None or session.session_id != session_id:
                self._without_session(peer, data, now)
                return
            if session.liveliness.silent:
                self._revive(session, now)
            session.receive(data, now)
        # Whatever a packet provokes, the others' clients must not suffer for it.
        except Exception:  # noqa: BLE001
            self.rejected["internal errors"] += 1
            LOGGER.exception("a message from %s failed: %s", self._describe(peer), data[:64].hex())

    def poll(self, now: float) -> None:
        """Does what is due; call it at `next_wake()` or later."""
        self._now = now
        while self._timers and self._timers[0][0] <= now:
            entity = heapq.heappop(self._timers)[2]
            entity.traffic.pump(entity, now)
        if self._next_tick is not None and now >= self._next_tick:
            # Kept in step, unless a whole tick was missed.
            self._next_tick = max(self._next_tick + TICK, now + TICK / 2) if self._by_key else None
            for session in list(self._by_key.values()):
                self._tick(session, now)

    def next_wake(self) -> float | None:
        """The monotonic time at which `poll` has something to do; None while there is nothing."""
        tick = self._next_tick
        if not self._timers:
            return tick
        timer = self._timers[0][0]
        return timer if tick is None or timer < tick else tick

    def deliver(self, handle: Handle, cdr: bytes, now: float) -> None:
        """A sample for a datareader; see `Inbox`."""
        entity = self.entities.get(handle)
        if entity is not None:
            entity.traffic.sample_from_ros(entity, b"", cdr, now)

    def deliver_request(self, handle: Handle, token: int, cdr: bytes, now: float) -> None:
        """A request for a replier; see `Inbox`."""
        entity = self.entities.get(handle)
        if entity is not None:
            entity.traffic.request_from_ros(entity, token, cdr, now)

    def deliver_reply(self, handle: Handle, request_id: int, cdr: bytes, now: float) -> None:
        """The answer to a requester's call; see `Inbox`."""
        entity = self.entities.get(handle)
        if entity is not None:
            head = request_id.to_bytes(2, "big") + entity.object_id.to_bytes(2, "big")
            entity.traffic.sample_from_ros(entity, head, cdr, now)

    def entity_failed(self, handle: Handle, reason: str) -> None:
        """The ROS side could not make an entity; see `Inbox`."""
        entity = self.entities.get(handle)
        if entity is not None:
            entity.traffic.fail(entity, reason)

    def disconnect(self, peer: Peer, reason: str) -> None:
        """The peer's address will not be used again: its client counts as silent until it logs in from another."""
        session = self._by_peer.pop(peer, None)
        if session is not None and not session.liveliness.silent:
            session.liveliness.silent = True
            self._announce(ClientChange.SILENT, session, self._now, reason)

    def close(self) -> None:
        """Removes all clients."""
        for session in list(self._by_key.values()):
            self._remove(session, "the agent ends")

    def statistics(self) -> tuple[ClientStatistics, ...]:
        """The figures of every client, in the order of their coming."""
        return tuple(session.statistics() for session in self._by_key.values())

    def emit(self, session: Session, message: bytes) -> None:
        """For sessions: sends a message."""
        self.output.append((session.peer, message))

    def new_handle(self) -> Handle:
        """For sessions: a handle that was never used."""
        return Handle(next(self._handles))

    def register(self, entity: Entity) -> None:
        """For sessions: makes an entity reachable by its handle."""
        self.entities[entity.handle] = entity

    def unregister(self, entity: Entity) -> None:
        """For sessions: the entity is gone."""
        self.entities.pop(entity.handle, None)

    def wake(self, entity: Entity, at: float) -> None:
        """For sessions: pumps `entity` at monotonic time `at`."""
        heapq.heappush(self._timers, (at, next(self._timer_numbers), entity))

    def logout(self, session: Session) -> None:
        """For sessions: the client said goodbye."""
        self._remove(session, "the client logged out")

    def warn(self, session: Session, message: str) -> None:
        """For sessions: logs something about a client."""
        self._notices.warn(self._now, f"client {session.client.key} ({session.client.link}): {message}")

    def _admit(self, peer: Peer, now: float) -> bool:
        """Whether a message that belongs to no session is answered: anybody may send it.

        What is not answered costs next to nothing and is not counted here, or a client that does not know that the
        agent was restarted would talk itself out of its own login.
        """
        owner = self._by_peer.get(peer)
        if owner.admit(now) if owner is not None else self._strangers.admit(peer, self._host(peer), now):
            return True
        self.rejected["above the rate, outside any session"] += 1
        return False

    def _outside(self, peer: Peer, data: bytes, now: float) -> None:
        """A message outside any session: a login or a ping; only its first submessage counts."""
        start = wire.header_size(data[0])
        if len(data) < start + wire.SUBHEADER_SIZE:
            self.rejected["malformed"] += 1
            return
        kind = data[start]
        if kind == Submessage.CREATE_CLIENT:
            try:
                login = wire.parse_login(data, start)
            except MessageError:
                self.rejected["malformed"] += 1
                return
            if self._admit(peer, now):
                self._login(peer, login, now)
        elif kind == Submessage.GET_INFO:
            if self._admit(peer, now):
                self._pong(peer, data, start, peer in self._by_peer)
        else:
            self.rejected["outside any session"] += 1

    def _without_session(self, peer: Peer, data: bytes, now: float) -> None:
        """A message of a session that is not open: a ping and a goodbye are answered, so that the client can go on."""
        start = wire.header_size(data[0])
        kind = data[start] if len(data) >= start + wire.SUBHEADER_SIZE + 4 else None
        if kind in {Submessage.GET_INFO, Submessage.DELETE} and not self._admit(peer, now):
            return
        if kind == Submessage.GET_INFO:
            owner = self._by_peer.get(peer)
            if owner is None:
                self._pong(peer, data, start, False)
            else:
                # The stock agent speaks of the session that the address has, whichever was asked for.
                owner.outbox.control(wire.info(data[start + 4 : start + 8], in_session=True))
            return
        base = data[start + wire.SUBHEADER_SIZE : start + wire.SUBHEADER_SIZE + 4]
        if kind == Submessage.DELETE and int.from_bytes(base[2:], "big") == wire.OBJECT_CLIENT:
            header = HEADER.pack(data[0], wire.STREAM_NONE, 0) + data[4:start]
            self.output.append((peer, header + wire.status(base, Status.OK)))
            return
        self.rejected["of a session that is not open"] += 1

    def _pong(self, peer: Peer, data: bytes, start: int, in_session: bool) -> None:
        base = data[start + wire.SUBHEADER_SIZE : start + wire.SUBHEADER_SIZE + 4]
        if len(base) < 4:
            self.rejected["malformed"] += 1
            return
        header = HEADER.pack(data[0], wire.STREAM_NONE, 0) + data[4:start]
        self.output.append((peer, header + wire.info(base, in_session)))

    def _by_header_key(self, peer: Peer, data: bytes) -> Session | None:
        """The client whose key is in the header; it may have moved to an address that is nobody else's."""
        if len(data) < wire.header_size(data[0]):
            return None
        session = self._by_key.get(data[4:8])
        if session is None or session.session_id != data[0]:
            return None
        if session.peer != peer:
            if peer in self._by_peer:
                return None
            self._move(session, peer)
        return session

    def _login(self, peer: Peer, login: wire.Login, now: float) -> None:
        key = login.key.hex().upper()
        refusal = self._refuse(login, key, now)
        if refusal is not None:
            self._answer_login(peer, login, refusal.status)
            self._notices.warn(now, f"client {key} ({self._describe(peer)}) refused: {refusal.reason}")
            return
        session = self._by_key.get(login.key)
        if session is not None and session.session_id != login.session_id:
            self._remove(session, "the client began another session")
            session = None
        owner = self._by_peer.get(peer)
        if owner is not None and owner is not session:
            self._remove(owner, f"client {key} took its address")
        self._answer_login(peer, login, Status.OK)
        if session is None:
            self._open(peer, login, key, now)
            return
        self._move(session, peer)
        session.liveliness.hard = Liveliness.hard_timeout(login.properties)
        session.liveliness.silent = False
        session.restart(login.mtu, now)
        self._announce(ClientChange.RECONNECTED, session, now)

    def _refuse(self, login: wire.Login, key: str, now: float) -> Refusal | None:
        if login.cookie != wire.COOKIE:
            return Refusal(Status.INVALID_DATA, f"its login says {login.cookie!r}; expected {wire.COOKIE!r}")
        if login.version[0] != wire.VERSION[0]:
            major, minor = login.version
            return Refusal(Status.INCOMPATIBLE, f"it speaks version {major}.{minor}; expected {wire.VERSION[0]}.x")
        if login.key == wire.NO_KEY or login.session_id in _NO_SESSION or login.mtu < _SMALLEST_MTU:
            return Refusal(
                Status.INVALID_DATA,
                f"it names session {login.session_id:#04x} and messages of {login.mtu} bytes; expected a key that is "
                f"not zero, a session other than 0x00 and 0x80, and {_SMALLEST_MTU} bytes or more",
            )
        if self.settings.allowed_keys and key not in self.settings.allowed_keys:
            return Refusal(Status.DENIED, "its key is not in allowed_keys; add it there to let the client in")
        if login.key not in self._by_key and not self._has_room(now):
            return Refusal(Status.RESOURCES, f"{self.settings.max_clients} clients are in; raise max_clients")
        return None

    def _has_room(self, now: float) -> bool:
        """Whether one more client may come; for it, one that logged in and then made nothing has to go."""
        if len(self._by_key) < self.settings.max_clients:
            return True
        idle = [s for s in self._by_key.values() if s.makes_nothing and now - s.connected_at >= _TIME_TO_MAKE]
        if not idle:
            return False
        self._remove(min(idle, key=lambda session: session.liveliness.heard_at), "it made nothing, and others want in")
        return True

    def _answer_login(self, peer: Peer, login: wire.Login, status: Status) -> None:
        header = HEADER.pack(login.session_id, wire.STREAM_NONE, 0)
        if not login.session_id & 0x80:
            header += login.key
        self.output.append((peer, header + wire.status_agent(status)))

    def _open(self, peer: Peer, login: wire.Login, key: str, now: float) -> None:
        client = ClientInfo(key, login.session_id, self._describe(peer))
        session = Session(self, client, login, peer, now)
        self._by_key[login.key] = session
        self._by_peer[peer] = session
        if self._next_tick is None:
            self._next_tick = now + TICK
        self._announce(ClientChange.CONNECTED, session, now)

    def _move(self, session: Session, peer: Peer) -> None:
        if session.peer == peer:
            return
        self._by_peer.pop(session.peer, None)
        self._by_peer[peer] = session
        session.move(peer, self._describe(peer))

    def _remove(self, session: Session, reason: str) -> None:
        del self._by_key[session.key]
        if self._by_peer.get(session.peer) is session:
            del self._by_peer[session.peer]
        session.close()
        self._announce(ClientChange.REMOVED, session, self._now, reason)

    def _revive(self, session: Session, now: float) -> None:
        session.liveliness.silent = False
        self._announce(ClientChange.REVIVED, session, now)

    def _tick(self, session: Session, now: float) -> None:
        liveliness = session.liveliness
        reason = liveliness.expired(now)
        if reason is not None:
            self._remove(session, reason)
            return
        dead = liveliness.dead(now)
        if dead and not liveliness.silent:
            liveliness.silent = True
            self._announce(ClientChange.SILENT, session, now)
        question = liveliness.question(now)
        if question is not None:
            session.outbox.control(question)
        elif liveliness.probe_due(now):
            session.outbox.probe(now)
        elif not dead:
            session.outbox.heartbeats()

    def _announce(self, change: ClientChange, session: Session, now: float, reason: str = "") -> None:
        because = f": {reason}" if reason else ""
        LOGGER.info("client %s (%s) %s%s", session.client.key, session.client.link, change.value, because)
        self.middleware.client_changed(ClientEvent(change, session.client, now, reason))
