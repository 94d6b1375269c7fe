"""Messages on a serial line: frames after HDLC's fashion, as the stock clients and agent use them.

    7E | source | destination | length, 2 bytes | payload | CRC, 2 bytes          numbers little endian

Everything after the 7E is escaped: 7E and 7D become 7D and the byte with bit 5 flipped. The CRC is CRC-16/ARC
(polynomial 8005 reflected, start 0) over the payload before escaping. A raw 7E always begins a frame, which is how a
reader finds its way again after garbage.
"""

from __future__ import annotations

import struct
from collections import Counter
from functools import cache

_FLAG, _ESCAPE = b"\x7e", b"\x7d"
_FLIP = 0x20
_HEAD = struct.Struct("<BBH")
_CRC_SIZE = 2

AGENT_ADDRESS = 0
CLIENT_ADDRESS = 1


@cache
def _table() -> list[int]:
    """The CRC of every pair of bytes: two bytes per step make the loop half as long."""
    single = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        single.append(crc)
    return [((half := word >> 8 ^ single[word & 0xFF]) >> 8) ^ single[half & 0xFF] for word in range(1 << 16)]


def crc16_python(data: bytes) -> int:
    """CRC-16/ARC; of b"123456789" it is BB3D."""
    table = _table()
    crc = 0
    for word in struct.unpack_from(f"<{len(data) // 2}H", data):
        crc = table[crc ^ word]
    if len(data) & 1:
        # One byte is the pair of it and nothing, shifted: the table's upper half serves.
        crc = table[(crc ^ data[-1]) << 8 & 0xFF00] ^ crc >> 8
    return crc


try:
    from fastcrc.crc16 import arc as crc16
except ImportError:
    # No distribution has fastcrc, and a robot's bridge must run with what rosdep installs.
    crc16 = crc16_python  # type: ignore[assignment]


def frame(payload: bytes, source: int, destination: int) -> bytes:
    """The frame of a message of at most 65535 bytes."""
    plain = _HEAD.pack(source, destination, len(payload)) + payload + crc16(payload).to_bytes(_CRC_SIZE, "little")
    return _FLAG + plain.replace(_ESCAPE, b"\x7d\x5d").replace(_FLAG, b"\x7d\x5e")


class Deframer:
    """Finds the frames for `address` in the bytes of a line, in whatever pieces they come.

    `max_payload` is the longest message taken; `rejected` counts what was thrown away, by cause.
    """

    def __init__(self, address: int, max_payload: int = 0xFFFF) -> None:
        self._address = address
        self._max_payload = max_payload
        self._body = bytearray()
        self._inside = False
        self._escaped = False
        self.rejected: Counter[str] = Counter()

    def reset(self) -> None:
        """Forgets a frame that has begun: the line was closed."""
        self._inside = self._escaped = False
        self._body.clear()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Takes bytes of the line; returns the sources and payloads of the frames that they complete."""
        found: list[tuple[int, bytes]] = []
        first, *others = data.split(_FLAG)
        if self._inside:
            self._extend(first, found)
        elif first:
            self.rejected["bytes outside frames"] += len(first)
        for part in others:
            if self._inside and self._body:
                self.rejected["cut frames"] += 1
            self._body.clear()
            self._inside = True
            self._escaped = False
            self._extend(part, found)
        return found

    def _extend(self, part: bytes, found: list[tuple[int, bytes]]) -> None:
        """Goes on with the frame that has begun; `part` holds no flag."""
        if not part:
            return
        part = bytes((part[0] ^ _FLIP,)) + self._plain(part[1:]) if self._escaped else self._plain(part)
        body = self._body
        body += part
        if len(body) < _HEAD.size:
            return
        source, destination, length = _HEAD.unpack_from(body)
        if destination != self._address or length > self._max_payload:
            self.rejected["frames for another address" if destination != self._address else "frames too long"] += 1
            self._inside = False
            return
        end = _HEAD.size + length
        if len(body) < end + _CRC_SIZE:
            return
        self._inside = False
        payload = bytes(body[_HEAD.size : end])
        if crc16(payload) != body[end] | body[end + 1] << 8:
            self.rejected["frames with a wrong checksum"] += 1
            return
        if len(body) > end + _CRC_SIZE:
            self.rejected["bytes outside frames"] += len(body) - end - _CRC_SIZE
        found.append((source, payload))

    def _plain(self, part: bytes) -> bytes:
        """Takes the escapes off; remembers one at the very end, whose byte is still to come."""
        self._escaped = False
        if _ESCAPE not in part:
            return part
        first, *others = part.split(_ESCAPE)
        plain = bytearray(first)
        pending = False
        for other in others:
            if pending:
                # An escaped escape character: not what a sender writes, but it has a meaning.
                plain.append(_ESCAPE[0] ^ _FLIP)
                plain += other
                pending = False
            elif other:
                plain.append(other[0] ^ _FLIP)
                plain += other[1:]
            else:
                pending = True
        self._escaped = pending
        return bytes(plain)
