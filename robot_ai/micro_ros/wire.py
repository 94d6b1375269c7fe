"""XRCE messages as bytes: numbers, headers, and the submessages that the agent says (DDS-XRCE 1.0, chapter 8).

A message is a header and submessages. The header is session id, stream id and sequence number, and the client's key
when the session id is below 0x80. Sequence numbers and lengths are little endian always; submessages start at
multiples of 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from robot_ai.micro_ros.cdr import CdrReader
from robot_ai.micro_ros.errors import MessageError
from robot_ai.micro_ros.middleware import Status


class Submessage(IntEnum):
    """Submessage ids."""

    CREATE_CLIENT = 0
    CREATE = 1
    GET_INFO = 2
    DELETE = 3
    STATUS_AGENT = 4
    STATUS = 5
    INFO = 6
    WRITE_DATA = 7
    READ_DATA = 8
    DATA = 9
    ACKNACK = 10
    HEARTBEAT = 11
    RESET = 12
    FRAGMENT = 13
    TIMESTAMP = 14
    TIMESTAMP_REPLY = 15


class ObjectKind(IntEnum):
    """The low four bits of an object id."""

    PARTICIPANT = 1
    TOPIC = 2
    PUBLISHER = 3
    SUBSCRIBER = 4
    DATAWRITER = 5
    DATAREADER = 6
    REQUESTER = 7
    REPLIER = 8
    AGENT = 13
    CLIENT = 14


LITTLE_ENDIAN = 0x01
FRAGMENT_LAST = 0x02
CREATE_REUSE = 0x02
CREATE_REPLACE = 0x04
FORMAT_MASK = 0x0E

STREAM_NONE = 0x00
STREAM_BEST_EFFORT = 0x01
STREAM_RELIABLE = 0x80

SESSION_NONE_WITH_KEY = 0x00
SESSION_NONE = 0x80

OBJECT_AGENT = 0xFFFD
OBJECT_CLIENT = 0xFFFE
NO_KEY = bytes(4)

COOKIE = b"XRCE"
VERSION = b"\x01\x00"
VENDOR = b"\x01\x0f"

HEADER = struct.Struct("<BBH")
"""A message's first four bytes (session, stream, sequence number) and every submessage's (id, flags, length)."""

SUBHEADER_SIZE = 4
ENCAPSULATION = b"\x00\x01\x00\x00"
"""Before a sample in DDS: XCDR1, little endian, no options. On the XRCE wire samples go without it."""

_LITTLE_U16, _BIG_U16 = struct.Struct("<H"), struct.Struct(">H")
_ACKNACK_SIZE = 5
_AGENT_INFO = COOKIE + VERSION + VENDOR + b"\0"


def header_size(session_id: int) -> int:
    """Bytes of a message's header."""
    return 4 if session_id & 0x80 else 8


def submessage(kind: int, flags: int, payload: bytes) -> bytes:
    """A submessage; `payload` is at most 65535 bytes."""
    return HEADER.pack(kind, flags, len(payload)) + payload


def status_agent(status: Status) -> bytes:
    """STATUS_AGENT: the answer to a login."""
    return submessage(Submessage.STATUS_AGENT, LITTLE_ENDIAN, bytes((status, 0)) + _AGENT_INFO)


def status(base: bytes, result: Status) -> bytes:
    """STATUS: the answer to CREATE, DELETE and a failed READ_DATA. `base` is the request's id and object, 4 bytes."""
    return submessage(Submessage.STATUS, LITTLE_ENDIAN, base + bytes((result, 0)))


def info(base: bytes, in_session: bool) -> bytes:
    """INFO: the answer to a ping. The configuration is ours as AGENT, the activity "available, no addresses"."""
    agent = bytes((1, ObjectKind.AGENT))
    payload = base + bytes((Status.OK, in_session)) + agent + _AGENT_INFO + agent
    payload += bytes(-len(payload) % 2) + b"\x01\x00"
    payload += bytes(-len(payload) % 4) + bytes(4)
    return submessage(Submessage.INFO, LITTLE_ENDIAN, payload)


def get_info(request_id: int, object_id: int, mask: int) -> bytes:
    """GET_INFO: a ping of the agent by a client, and the other way round."""
    return submessage(
        Submessage.GET_INFO, LITTLE_ENDIAN, struct.pack(">HH", request_id, object_id) + mask.to_bytes(4, "little")
    )


def acknack(first_unacked: int, missing: int, stream_id: int) -> bytes:
    """ACKNACK. Bit i of `missing` says that `first_unacked` + i has not come."""
    return b"\x0a\x01\x05\x00" + struct.pack("<H", first_unacked) + struct.pack(">HB", missing, stream_id)


def parse_acknack(data: bytes, start: int, end: int, little: bool) -> tuple[int, int, int]:
    """First unacknowledged message, the bits of the missing ones, stream. Raises MessageError."""
    if end - start < _ACKNACK_SIZE:
        raise MessageError(f"{_ACKNACK_SIZE} bytes of ACKNACK are expected, {end - start} are there")
    first: int = (_LITTLE_U16 if little else _BIG_U16).unpack_from(data, start)[0]
    return first, data[start + 2] << 8 | data[start + 3], data[start + 4]


def heartbeat(first: int, last: int, stream_id: int) -> bytes:
    """HEARTBEAT: the first and last message not acknowledged yet."""
    return b"\x0b\x01\x05\x00" + struct.pack("<HHB", first, last, stream_id)


def timestamp_reply(transmit: int, receive: int, originate: bytes) -> bytes:
    """TIMESTAMP_REPLY; our times are nanoseconds since the epoch, `originate` is the client's time, 8 bytes."""
    times = b"".join(struct.pack("<iI", *divmod(moment, 1_000_000_000)) for moment in (transmit, receive))
    return submessage(Submessage.TIMESTAMP_REPLY, LITTLE_ENDIAN, times + originate)


@dataclass(frozen=True)
class Login:
    """What CREATE_CLIENT says. `key` is four bytes as sent; `mtu` the largest message the client takes, in bytes."""

    cookie: bytes
    version: bytes
    key: bytes
    session_id: int
    properties: dict[str, str]
    mtu: int


def parse_login(data: bytes, position: int) -> Login:
    """Reads CREATE_CLIENT whose submessage header is at `position`.

    The real client's length field leaves out the properties, so it is not looked at. Raises MessageError.
    """
    if len(data) < position + SUBHEADER_SIZE or data[position] != Submessage.CREATE_CLIENT:
        raise MessageError("a CREATE_CLIENT submessage is expected")
    reader = CdrReader(data, bool(data[position + 1] & LITTLE_ENDIAN), position + SUBHEADER_SIZE)
    cookie, version, _vendor = reader.raw(4), reader.raw(2), reader.raw(2)
    key, session_id = reader.raw(4), reader.u8()
    properties: dict[str, str] = {}
    if reader.boolean():
        count = reader.u32()
        # Each takes at least two lengths and two NULs.
        if count > reader.left() // 10:
            raise MessageError(f"{count} properties cannot be in {reader.left()} bytes")
        for _ in range(count):
            name = reader.string()
            properties[name] = reader.string()
    return Login(cookie, version, key, session_id, properties, reader.u16())
