"""Where the agent meets ROS: what the protocol core asks of the other side, and what the other side tells it.

Two threads meet here and neither waits for the other.

- The **network thread** runs the protocol core. It calls the methods of `Middleware`. Each must return at once (well
  below a millisecond): look up, decide, queue; never call an executor, never make a ROS entity, never take a lock
  that is held while one is made. Nothing else that clients send is answered until the method returns.
- **Any other thread** (an executor's callbacks) calls the methods of `Inbox`. They are thread-safe, never wait and
  never raise for an entity that is gone. What was put there is taken in order: at once and on the thread that brought
  it while the network thread sleeps, by the network thread otherwise.

Life of an entity: `Middleware.create(spec)` decides on the spot whether the client may have it (`None`) or not
(`Refusal`, whose status the client gets). Making it comes later, on a thread of the implementation; writes, calls and
replies for it may come before it is made and belong behind it in the same queue. When making it fails after all,
`Inbox.entity_failed` says so. `Middleware.delete(handle)` ends it. A handle is never used twice, so whatever arrives
late for a deleted entity is recognized and dropped.

Every sample is CDR *with* its four bytes of encapsulation header, in both directions: what `Publisher.publish(bytes)`
and a raw subscription of rclpy take and give. From the client it is always `00 01 00 00` (XCDR1, little endian).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NewType, Protocol, TypeAlias

Handle = NewType("Handle", int)
"""Names one entity of one client for the life of the process; never reused."""


class Status(IntEnum):
    """Result of an operation as the client sees it (DDS-XRCE 1.0, 7.7.11, `StatusValue`)."""

    OK = 0x00
    OK_MATCHED = 0x01
    DDS_ERROR = 0x80
    MISMATCH = 0x81
    ALREADY_EXISTS = 0x82
    DENIED = 0x83
    UNKNOWN_REFERENCE = 0x84
    INVALID_DATA = 0x85
    INCOMPATIBLE = 0x86
    RESOURCES = 0x87


@dataclass(frozen=True)
class Refusal:
    """Why a client may not come in, or not have an entity. `reason` is a sentence for the log; it says what to do.

    For entities DDS_ERROR is what the stock agent says when the middleware refuses, and right for a type that is not
    installed.
    """

    status: Status
    reason: str


class Reliability(Enum):
    """DDS reliability."""

    BEST_EFFORT = "best_effort"
    RELIABLE = "reliable"


class Durability(Enum):
    """DDS durability. ROS knows the first two; map the others to TRANSIENT_LOCAL."""

    VOLATILE = "volatile"
    TRANSIENT_LOCAL = "transient_local"
    TRANSIENT = "transient"
    PERSISTENT = "persistent"


class History(Enum):
    """DDS history."""

    KEEP_LAST = "keep_last"
    KEEP_ALL = "keep_all"


@dataclass(frozen=True)
class QoS:
    """Quality of service of a writer or reader, as the client declared it.

    `depth` counts for KEEP_LAST and is at least 1; `deadline` and `lifespan` are seconds or None.
    """

    reliability: Reliability
    durability: Durability
    history: History
    depth: int
    deadline: float | None = None
    lifespan: float | None = None


@dataclass(frozen=True)
class ClientInfo:
    """One client.

    `key` is eight hexadecimal digits, upper case; `link` names the transport and where the client is on it ("udp
    127.0.0.1:40312", "serial /dev/ttyUSB0 address 1").
    """

    key: str
    session_id: int
    link: str


@dataclass(frozen=True)
class ParticipantSpec:
    """A micro-ROS node. `name` is as sent: "node", or "/ns/node" when it has a namespace.

    `domain_id` is None for "the agent's own domain". Until `delete`, this is the parent of everything that names its
    handle.
    """

    handle: Handle
    client: ClientInfo
    name: str
    domain_id: int | None


@dataclass(frozen=True)
class TopicSpec:
    """A topic declared in a participant. Nothing is to be made of it, but here a missing type is to be refused.

    `name` and `type_name` are the DDS names, as sent: "rt/chatter" and "std_msgs::msg::dds_::String_". Topics of
    services never come this way. XRCE publishers and subscribers (groups of writers and readers) stay inside the
    core: ROS has nothing like them.
    """

    handle: Handle
    participant: Handle
    name: str
    type_name: str


@dataclass(frozen=True)
class WriterSpec:
    """The client publishes: make a publisher. Its samples come through `Middleware.write`."""

    handle: Handle
    participant: Handle
    topic_name: str
    type_name: str
    qos: QoS


@dataclass(frozen=True)
class ReaderSpec:
    """The client subscribes: make a subscription and hand every sample to `Inbox.deliver` from the moment it is made.

    The core keeps the newest `qos.depth` samples while the client does not read or its link is slow.
    """

    handle: Handle
    participant: Handle
    topic_name: str
    type_name: str
    qos: QoS


@dataclass(frozen=True)
class _ServiceSpec:
    """One side of a service.

    `service_name` ("/add_two_ints"), types ("example_interfaces::srv::dds_::AddTwoInts_Request_", "..._Response_")
    and topics ("rq/add_two_intsRequest", "rr/add_two_intsReply") are as sent; the topics are never empty.
    """

    handle: Handle
    participant: Handle
    service_name: str
    request_type: str
    reply_type: str
    request_topic: str
    reply_topic: str


@dataclass(frozen=True)
class RequesterSpec(_ServiceSpec):
    """The client calls a service: make a client. Calls come through `Middleware.call`."""


@dataclass(frozen=True)
class ReplierSpec(_ServiceSpec):
    """The client serves: make a service. Requests go to `Inbox.deliver_request`; replies come to `Middleware.reply`."""


EntitySpec: TypeAlias = ParticipantSpec | TopicSpec | WriterSpec | ReaderSpec | RequesterSpec | ReplierSpec


class ClientChange(Enum):
    """What happened to a client."""

    CONNECTED = "connected"
    """A new session; its entities follow."""
    RECONNECTED = "reconnected"
    """The same session logged in again, perhaps from another address: its entities live on, nothing is to be made."""
    SILENT = "silent"
    """Nothing was heard for the liveliness time; the entities stay for now."""
    REVIVED = "revived"
    """A silent client spoke again."""
    REMOVED = "removed"
    """The session is over, `delete` was called for each entity; `reason` says why (logout, silence, replaced)."""


@dataclass(frozen=True)
class ClientEvent:
    """A change of one client, in the order in which they happened. `time` is monotonic seconds."""

    change: ClientChange
    client: ClientInfo
    time: float
    reason: str = ""


class Middleware(Protocol):
    """The ROS side, as the network thread calls it. Each method returns at once and raises nothing (see the module)."""

    def create(self, spec: EntitySpec) -> Refusal | None:
        """Decides whether the client gets this entity; None accepts. Names, parents and duplicates are checked already.

        Decide by what can be known at once (is the type in the ament index? is the name valid in ROS?) and make the
        entity elsewhere, behind everything accepted before. A refused handle never comes again; `delete` is not
        called for it.
        """
        ...

    def delete(self, handle: Handle) -> None:
        """Ends an entity that was accepted. Everything within a participant is deleted before the participant."""
        ...

    def write(self, writer: Handle, cdr: bytes) -> None:
        """A sample the client published, exactly once and in order. This is the hot path: ten thousand a second."""
        ...

    def call(self, requester: Handle, request_id: int, cdr: bytes) -> None:
        """A request of the client, named by `request_id` (0..65535); several may be out, answered in any order."""
        ...

    def reply(self, replier: Handle, token: int, cdr: bytes) -> None:
        """The client's answer to the request that was delivered with `token`; each token comes at most once."""
        ...

    def client_changed(self, event: ClientEvent) -> None:
        """A client came, went, fell silent or spoke again."""
        ...


class Inbox(Protocol):
    """The agent, as any thread of the ROS side calls it: thread-safe, does not block, ignores handles that are gone."""

    def deliver(self, reader: Handle, cdr: bytes) -> None:
        """A sample for the client's datareader."""
        ...

    def deliver_request(self, replier: Handle, token: int, cdr: bytes) -> None:
        """A request for the client's replier.

        `token` (0..2**63-1) names it, unlike every other request that this replier has not answered yet. The client
        may never answer.
        """
        ...

    def deliver_reply(self, requester: Handle, request_id: int, cdr: bytes) -> None:
        """The answer to a request that came through `Middleware.call` with this `request_id`."""
        ...

    def entity_failed(self, handle: Handle, reason: str) -> None:
        """An accepted entity could not be made. What the client writes to it from now on is dropped and counted."""
        ...


@dataclass(frozen=True)
class ClientStatistics:
    """One client's figures since it connected; times are monotonic seconds, durations seconds.

    `messages_*` count XRCE messages (datagrams, frames), `samples_*` user data (topics, requests and replies
    together). `missed` counts sequence numbers of the client that were skipped when they were due (later perhaps
    resent), `duplicates` messages that came twice, `resent` messages that we had to send again. `dropped` counts lost
    samples by cause; a cause is a phrase fit for /diagnostics. `round_trip` is smoothed, from a reliable message to
    its acknowledgement, None until one was measured. `clock_offset` is the client's clock minus ours, None until the
    client asked for the time.
    """

    client: ClientInfo
    silent: bool
    connected_at: float
    heard_at: float
    entities: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    samples_in: int
    samples_out: int
    missed: int
    duplicates: int
    resent: int
    waiting: int
    round_trip: float | None
    clock_offset: float | None
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TransportStatistics:
    """One transport. `state` is "open", or a sentence that says what is wrong and when it is tried again.

    `rejected` counts packets thrown away before they reached a session, by cause (checksum, address, flood, ...).
    """

    name: str
    open: bool
    state: str
    bytes_in: int
    bytes_out: int
    rejected: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentStatistics:
    """Everything about the agent at `time` (monotonic seconds), for /diagnostics."""

    time: float
    clients: tuple[ClientStatistics, ...]
    transports: tuple[TransportStatistics, ...]
    rejected: dict[str, int] = field(default_factory=dict)
