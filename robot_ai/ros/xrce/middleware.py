"""The agent's other side on rclpy: each participant is a node, each entity what a native node would have instead."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node

from robot_ai.errors import RobotAIError
from robot_ai.micro_ros.middleware import (
    ClientChange,
    ClientEvent,
    EntitySpec,
    Handle,
    Inbox,
    ParticipantSpec,
    ReaderSpec,
    Refusal,
    RequesterSpec,
    Status,
    TopicSpec,
    WriterSpec,
)
from robot_ai.ros.xrce.domains import Domain
from robot_ai.ros.xrce.entities import Entity, Reader, Replier, Requester, Writer
from robot_ai.ros.xrce.errors import DomainRefusedError
from robot_ai.ros.xrce.names import TopicName, TypeName, message_type, node_name, service_name, service_type, topic_name
from robot_ai.ros.xrce.types import load, require_installed

# How often requests look for their service while any of them waits, in seconds.
_POLL = 0.01
_JOIN = 5.0
# Fast DDS has ports for no more, and with a larger number its start never ends.
_LAST_DOMAIN = 232


class RosMiddleware:
    """Implements `robot_ai.micro_ros.middleware.Middleware`.

    Samples of a client are published by the network thread itself. Everything that may take longer is done, in the
    order in which it was asked for, by one worker: making and deleting entities, requests and replies. Each domain's
    callbacks run in a thread of its executor.

    `node` is the bridge's: its context is the clients' own domain, its logger speaks. With `follow_domains` a client is
    put into the domain that it names; without, 0, which firmware names when nothing was configured, means our own.
    `client_changed` is called by the network thread.
    """

    def __init__(self, node: Node, follow_domains: bool, client_changed: Callable[[ClientEvent], None]) -> None:
        self._node = node
        self._logger = node.get_logger()
        self._own_domain = node.context.get_domain_id()
        self._follow_domains = follow_domains
        self._client_changed = client_changed
        self._inbox: Inbox | None = None
        self._domains: dict[int, Domain] = {}
        self._nodes: dict[Handle, tuple[Domain, Node]] = {}
        # Written by the network thread, read by the worker: what exists as far as the client is concerned.
        self._participants: dict[Handle, ParticipantSpec] = {}
        self._entities: dict[Handle, Entity] = {}
        self._parents: dict[Handle, Handle] = {}
        self._lock = threading.Lock()
        self._drops: dict[str, Counter[str]] = {}
        self._waiting: set[Requester] = set()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._run, name="xrce_worker", daemon=True)
        self._worker.start()

    def connect(self, inbox: Inbox) -> None:
        """Tells where samples, requests and replies for clients go; before anything else is called."""
        self._inbox = inbox

    def create(self, spec: EntitySpec) -> Refusal | None:
        """Accepts an entity or says why not; it is made by the worker."""
        try:
            self._accept(spec)
        except RobotAIError as error:
            return Refusal(Status.DDS_ERROR, str(error))
        return None

    def delete(self, handle: Handle) -> None:
        """Ends an entity; what is still written to it is ignored."""
        if self._participants.pop(handle, None) is not None:
            self._work.put(partial(self._destroy_node, handle))
            return
        entity = self._entities.pop(handle, None)
        parent = self._parents.pop(handle, None)
        if entity is not None and parent is not None:
            self._work.put(partial(self._destroy, entity, parent))

    def write(self, writer: Handle, cdr: bytes) -> None:
        """Publishes."""
        entity = self._entities.get(writer)
        if isinstance(entity, Writer):
            entity.write(cdr)

    def call(self, requester: Handle, request_id: int, cdr: bytes) -> None:
        """Calls a service, as soon as it is there."""
        entity = self._entities.get(requester)
        if isinstance(entity, Requester):
            self._work.put(partial(self._call, entity, request_id, cdr))

    def reply(self, replier: Handle, token: int, cdr: bytes) -> None:
        """Answers a request."""
        entity = self._entities.get(replier)
        if isinstance(entity, Replier):
            self._work.put(partial(entity.reply, token, cdr))

    def client_changed(self, event: ClientEvent) -> None:
        """Passes the event on."""
        if event.change is ClientChange.REMOVED:
            with self._lock:
                self._drops.pop(event.client.key, None)
        self._client_changed(event)

    def drops(self, key: str) -> dict[str, int]:
        """How many samples of a client were lost on the ROS side, by cause, since it connected."""
        with self._lock:
            return dict(self._drops.get(key, {}))

    def node_names(self, key: str) -> list[str]:
        """The full names of a client's nodes."""
        names = [node_name(p.name, key) for p in list(self._participants.values()) if p.client.key == key]
        return [f"{namespace.rstrip('/')}/{name}" for name, namespace in names]

    def close(self) -> None:
        """Takes all clients off the graph and ends the threads; the agent must have stopped."""
        self._work.put(None)
        self._worker.join(_JOIN)
        if self._worker.is_alive():
            self._logger.error("the clients' nodes do not end: they stay on the graph until this process ends")

    def _accept(self, spec: EntitySpec) -> None:
        """Checks an entity and puts it to work.

        Raises NameRefusedError, TypeNotInstalledError or DomainRefusedError.
        """
        assert self._inbox is not None, "connect() comes before the agent starts"
        if isinstance(spec, ParticipantSpec):
            _check_domain(spec.domain_id)
            self._participants[spec.handle] = spec
            self._work.put(partial(self._make_node, spec))
            return
        drop = partial(self._drop, spec.participant)
        if isinstance(spec, TopicSpec | WriterSpec | ReaderSpec):
            topic = topic_name(spec.name if isinstance(spec, TopicSpec) else spec.topic_name)
            type_name = message_type(spec.type_name)
            require_installed(type_name)
            if isinstance(spec, TopicSpec):
                return
            entity: Any = Writer(spec, drop) if isinstance(spec, WriterSpec) else Reader(spec, self._inbox, drop)
            make = partial(self._make, spec.participant, spec.handle, entity, type_name, topic)
        else:
            name = service_name(spec.service_name, spec.request_topic)
            type_name = service_type(spec.request_type, spec.reply_type)
            require_installed(type_name)
            kind = Requester if isinstance(spec, RequesterSpec) else Replier
            entity = kind(spec.handle, self._inbox, drop)
            make = partial(self._make, spec.participant, spec.handle, entity, type_name, name)
        self._entities[spec.handle] = entity
        self._parents[spec.handle] = spec.participant
        self._work.put(make)

    def _drop(self, participant: Handle, cause: str) -> None:
        spec = self._participants.get(participant)
        if spec is None:
            return
        with self._lock:
            self._drops.setdefault(spec.client.key, Counter())[cause] += 1
        self._logger.warning(f"sample of {spec.name} dropped: {cause}", throttle_duration_sec=5.0)

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=_POLL if self._waiting else None)
            except queue.Empty:
                work = self._poll
            if work is None:
                break
            try:
                work()
            # One client's fault must not end all others'.
            except Exception as error:  # noqa: BLE001
                self._logger.error(f"XRCE worker: {type(error).__name__}: {error}", throttle_duration_sec=1.0)
        self._close()

    def _poll(self) -> None:
        self._waiting = {requester for requester in self._waiting if requester.poll()}

    def _call(self, requester: Requester, request_id: int, cdr: bytes) -> None:
        if requester.call(request_id, cdr):
            self._waiting.add(requester)

    def _make_node(self, spec: ParticipantSpec) -> None:
        name, namespace = node_name(spec.name, spec.client.key)
        try:
            domain = self._domain(spec.domain_id)
            self._nodes[spec.handle] = (domain, domain.create_node(name, namespace))
        # rclpy and the middleware may refuse for reasons of their own (no sockets left, a domain out of range).
        except Exception as error:  # noqa: BLE001
            self._fail(spec.handle, f"node {name} ({type(error).__name__}: {error})")

    def _domain(self, asked: int | None) -> Domain:
        number = asked if asked is not None and (asked or self._follow_domains) else self._own_domain
        if number not in self._domains:
            complain = partial(self._logger.error, throttle_duration_sec=1.0)
            own = number == self._own_domain
            self._domains[number] = (
                Domain(self._node.context, False, complain) if own else Domain.join(number, complain)
            )
        return self._domains[number]

    def _make(
        self, participant: Handle, handle: Handle, entity: Any, type_name: TypeName, place: TopicName | str
    ) -> None:
        if participant not in self._nodes:
            self._fail(handle, f"{_name(place)}, nor the node it belongs to")
            return
        try:
            entity.make(self._nodes[participant][1], load(type_name), place)
        except Exception as error:  # noqa: BLE001 - as for nodes
            self._fail(handle, f"{_name(place)} of type {type_name} ({type(error).__name__}: {error})")

    def _fail(self, handle: Handle, reason: str) -> None:
        assert self._inbox is not None
        self._inbox.entity_failed(handle, f"ROS could not make {reason}. Reset the MCU once the cause is mended")

    def _destroy(self, entity: Entity, participant: Handle) -> None:
        if isinstance(entity, Requester):
            self._waiting.discard(entity)
        if participant in self._nodes:
            entity.destroy(self._nodes[participant][1])

    def _destroy_node(self, handle: Handle) -> None:
        found = self._nodes.pop(handle, None)
        if found is not None:
            found[0].destroy_node(found[1])

    def _close(self) -> None:
        for handle in list(self._nodes):
            self._destroy_node(handle)
        for domain in self._domains.values():
            domain.close()


def _name(place: TopicName | str) -> str:
    return place.name if isinstance(place, TopicName) else place


def _check_domain(domain_id: int | None) -> None:
    if domain_id is not None and not 0 <= domain_id <= _LAST_DOMAIN:
        raise DomainRefusedError(f"the client names domain {domain_id}; expected 0 to {_LAST_DOMAIN}")
