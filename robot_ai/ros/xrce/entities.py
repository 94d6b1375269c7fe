"""Publishers, subscriptions, clients and services of a client's node, as the agent uses them."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message

from robot_ai.micro_ros.middleware import Durability, History, Inbox, QoS, ReaderSpec, Reliability, WriterSpec
from robot_ai.ros.deferred import DeferredResponse, allow_deferred
from robot_ai.ros.xrce.names import TopicName

Drop = Callable[[str], None]
"""Told of each sample that is lost, with the cause."""

# Samples kept while their publisher is being made.
_BACKLOG = 1024
SERVICE_WAIT = 5.0
"""Seconds that a request waits for its service to be discovered. Later the client has most likely given up."""
_OPEN_REQUESTS = 64
"""Requests that a replier may leave unanswered; the oldest is forgotten when another comes."""


def to_qos_profile(qos: QoS, topic: TopicName) -> QoSProfile:
    """The same quality of service for rclpy; ROS knows no durability above transient local."""
    keep_all = qos.history is History.KEEP_ALL
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_ALL if keep_all else HistoryPolicy.KEEP_LAST,
        depth=0 if keep_all else qos.depth,
        reliability=(
            ReliabilityPolicy.RELIABLE if qos.reliability is Reliability.RELIABLE else ReliabilityPolicy.BEST_EFFORT
        ),
        durability=(
            DurabilityPolicy.VOLATILE if qos.durability is Durability.VOLATILE else DurabilityPolicy.TRANSIENT_LOCAL
        ),
        avoid_ros_namespace_conventions=topic.plain,
    )
    if qos.deadline:
        profile.deadline = Duration(seconds=qos.deadline)
    if qos.lifespan:
        profile.lifespan = Duration(seconds=qos.lifespan)
    return profile


class Writer:
    """A publisher that may be written to before it is made.

    `write` is called by the network thread, `make` and `destroy` by the worker.
    """

    def __init__(self, spec: WriterSpec, drop: Drop) -> None:
        self._spec = spec
        self._drop = drop
        self._lock = threading.Lock()
        self._early: deque[bytes] = deque()
        self._publish: Callable[[bytes], None] | None = None
        self._publisher: Any = None

    def write(self, cdr: bytes) -> None:
        """Publishes a sample as it is."""
        publish = self._publish
        if publish is None:
            with self._lock:
                publish = self._publish
                if publish is None:
                    if len(self._early) >= _BACKLOG:
                        self._drop("publisher not made yet")
                    else:
                        self._early.append(cdr)
                    return
        try:
            publish(cdr)
        # While the process shuts down the context is invalid; the middleware may refuse for reasons of its own.
        except Exception:  # noqa: BLE001
            self._drop("publish refused")

    def make(self, node: Node, message_type: Any, topic: TopicName) -> None:
        """Makes the publisher and sends what came before it, in order."""
        self._publisher = node.create_publisher(message_type, topic.name, to_qos_profile(self._spec.qos, topic))
        while True:
            with self._lock:
                if not self._early:
                    self._publish = self._publisher.publish
                    return
                early, self._early = self._early, deque()
            for cdr in early:
                self._publisher.publish(cdr)

    def destroy(self, node: Node) -> None:
        """Takes the publisher off the graph."""
        if self._publisher is not None:
            node.destroy_publisher(self._publisher)


class Reader:
    """A subscription whose samples go to the client as they are."""

    def __init__(self, spec: ReaderSpec, inbox: Inbox, drop: Drop) -> None:
        self._spec = spec
        self._inbox = inbox
        self._drop = drop
        self._subscription: Any = None

    def make(self, node: Node, message_type: Any, topic: TopicName) -> None:
        """Makes the subscription."""
        profile = to_qos_profile(self._spec.qos, topic)
        self._subscription = node.create_subscription(message_type, topic.name, self._receive, profile, raw=True)

    def _receive(self, cdr: bytes) -> None:
        if not cdr.startswith(b"\x00\x01"):
            # XRCE data is little-endian CDR by definition; a big-endian or XCDR2 sample would be misread.
            self._drop("not little-endian CDR")
            return
        self._inbox.deliver(self._spec.handle, cdr)

    def destroy(self, node: Node) -> None:
        """Takes the subscription off the graph."""
        if self._subscription is not None:
            node.destroy_subscription(self._subscription)


@dataclass(frozen=True)
class _Call:
    request_id: int
    cdr: bytes
    expires: float


class Requester:
    """A service client. A call waits until its service is discovered, so that the first one is not lost.

    All methods are called by the worker; answers come on the executor's thread.
    """

    def __init__(self, handle: Any, inbox: Inbox, drop: Drop) -> None:
        self._handle = handle
        self._inbox = inbox
        self._drop = drop
        self._type: Any = None
        self._client: Any = None
        self._waiting: deque[_Call] = deque()

    def make(self, node: Node, service_type: Any, name: str) -> None:
        """Makes the client."""
        self._type = service_type
        self._client = node.create_client(service_type, name)

    def call(self, request_id: int, cdr: bytes) -> bool:
        """Sends a request, or keeps it for `poll`; returns whether any request waits."""
        self._waiting.append(_Call(request_id, cdr, time.monotonic() + SERVICE_WAIT))
        return self.poll()

    def poll(self) -> bool:
        """Sends what waits once the service is there; returns whether any request still waits."""
        if not self._waiting:
            return False
        if self._client is None:
            self._discard("client not made")
        elif self._client.service_is_ready():
            while self._waiting:
                self._send(self._waiting.popleft())
        elif self._waiting[0].expires < time.monotonic():
            self._waiting.popleft()
            self._drop("no such service")
        return bool(self._waiting)

    def _send(self, call: _Call) -> None:
        try:
            request = deserialize_message(call.cdr, self._type.Request)
        # Whatever a client sends, rmw may raise on it.
        except Exception:  # noqa: BLE001
            self._drop("request that is no such request")
            return

        def answer(future: Any) -> None:
            if future.cancelled() or future.exception() is not None:
                self._drop("reply that cannot be read")
            else:
                self._inbox.deliver_reply(self._handle, call.request_id, serialize_message(future.result()))

        self._client.call_async(request).add_done_callback(answer)

    def _discard(self, cause: str) -> None:
        for _ in range(len(self._waiting)):
            self._waiting.popleft()
            self._drop(cause)

    def destroy(self, node: Node) -> None:
        """Takes the client off the graph."""
        self._discard("client deleted")
        if self._client is not None:
            node.destroy_client(self._client)


class Replier:
    """A service whose answers come later, in any order.

    The callback hands on the request and returns an answer that is deferred until the client has one. `reply` is called
    by the worker.
    """

    def __init__(self, handle: Any, inbox: Inbox, drop: Drop) -> None:
        self._handle = handle
        self._inbox = inbox
        self._drop = drop
        self._type: Any = None
        self._service: Any = None
        self._tokens = itertools.count()
        self._lock = threading.Lock()
        self._open: OrderedDict[int, DeferredResponse] = OrderedDict()

    def make(self, node: Node, service_type: Any, name: str) -> None:
        """Makes the service."""
        self._type = service_type
        group = ReentrantCallbackGroup()
        self._service = node.create_service(service_type, name, self._accept, callback_group=group)
        allow_deferred(self._service)

    def _accept(self, request: Any, _response: Any) -> DeferredResponse:
        answer = DeferredResponse()
        with self._lock:
            token = next(self._tokens)
            self._open[token] = answer
            if len(self._open) > _OPEN_REQUESTS:
                self._open.popitem(last=False)
                self._drop("request never answered")
        self._inbox.deliver_request(self._handle, token, serialize_message(request))
        return answer

    def reply(self, token: int, cdr: bytes) -> None:
        """Answers the request that was delivered with `token`."""
        with self._lock:
            answer = self._open.pop(token, None)
        if answer is None:
            self._drop("reply to no open request")
            return
        try:
            answer.send(deserialize_message(cdr, self._type.Response))
        # Whatever a client sends, rmw may raise on it; the caller may be gone.
        except Exception:  # noqa: BLE001
            self._drop("reply that is no such reply")

    def destroy(self, node: Node) -> None:
        """Takes the service off the graph."""
        if self._service is not None:
            node.destroy_service(self._service)


Entity = Writer | Reader | Requester | Replier
