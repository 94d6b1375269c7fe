"""The 24 bytes that name a request on its way to a client's replier and its answer on the way back.

The layout is that of a DDS SampleIdentity: guid prefix (12), entity id (4), sequence number (high i32, low u32,
little endian). The client only sends it back, so the agent is free in what it says: here the replier's handle and the
token.
"""

from __future__ import annotations

import struct

from robot_ai.micro_ros.middleware import Handle

_LAYOUT = struct.Struct("<4sQ4siI")
_PREFIX = b"\x01\x0f\x00\x00"  # the stock agent's vendor id
_ENTITY = b"\x00\x00\x01\x03"


def request_identity(replier: Handle, token: int) -> bytes:
    """The identity of the request `token`."""
    return _LAYOUT.pack(_PREFIX, replier, _ENTITY, token >> 32, token & 0xFFFFFFFF)


def request_token(replier: Handle, data: bytes) -> int | None:
    """The token in a reply of the client; None when its first 24 bytes are no identity of this replier."""
    if len(data) < _LAYOUT.size:
        return None
    prefix, handle, entity, high, low = _LAYOUT.unpack_from(data)
    if (prefix, handle, entity) != (_PREFIX, replier, _ENTITY) or high < 0:
        return None
    token: int = high << 32 | low
    return token
