"""Reading and writing plain CDR, the encoding of ROS messages and XRCE payloads (DDS-XTypes 1.3, 7.4.1, XCDR 1)."""

from __future__ import annotations

import struct

from robot_ai.micro_ros.errors import MessageError

_LITTLE = {size: struct.Struct("<" + code) for size, code in ((2, "H"), (4, "I"))}
_BIG = {size: struct.Struct(">" + code) for size, code in ((2, "H"), (4, "I"))}


class CdrReader:
    """Reads from `data` between `position` and `end`; alignment counts from byte 0 of `data`.

    Every method raises MessageError when the bytes end before the value does.
    """

    __slots__ = ("_data", "_end", "_numbers", "position")

    def __init__(self, data: bytes, little: bool = True, position: int = 0, end: int | None = None) -> None:
        self._data = data
        self._numbers = _LITTLE if little else _BIG
        self.position = position
        self._end = len(data) if end is None else min(end, len(data))

    def raw(self, size: int) -> bytes:
        """The next `size` bytes as they are."""
        stop = self.position + size
        if stop > self._end:
            raise MessageError(f"{size} bytes are expected at byte {self.position}, {self.left()} are there")
        value = self._data[self.position : stop]
        self.position = stop
        return value

    def u8(self) -> int:
        """An octet, enumerator or union discriminator."""
        return self.raw(1)[0]

    def boolean(self) -> bool:
        """A bool; as an optional's flag, whether the value follows. Any octet but zero is true."""
        return self.raw(1)[0] != 0

    def u16(self) -> int:
        """An aligned unsigned short."""
        return self._number(2)

    def u32(self) -> int:
        """An aligned unsigned long."""
        return self._number(4)

    def octets(self) -> bytes:
        """A sequence of octets."""
        return self.raw(self.u32())

    def string(self) -> str:
        """A string; its length counts the final NUL, and text after a NUL within is cut off."""
        text = self.raw(self.u32()).split(b"\0", 1)[0]
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MessageError(f"a string is not UTF-8: {error}") from error

    def left(self) -> int:
        """How many bytes are not read yet."""
        return self._end - self.position

    def _number(self, size: int) -> int:
        self.position += -self.position % size
        value: int = self._numbers[size].unpack(self.raw(size))[0]
        return value


class CdrWriter:
    """Writes little-endian CDR; alignment counts from the first byte written, or from `start` bytes before it."""

    __slots__ = ("_data", "_start")

    def __init__(self, start: int = 0) -> None:
        self._data = bytearray()
        self._start = start

    def raw(self, value: bytes) -> CdrWriter:
        """Bytes as they are."""
        self._data += value
        return self

    def u8(self, value: int) -> CdrWriter:
        """An octet, bool, enumerator or union discriminator."""
        self._data.append(value)
        return self

    def u16(self, value: int) -> CdrWriter:
        """An aligned unsigned short."""
        return self._number(2, value)

    def u32(self, value: int) -> CdrWriter:
        """An aligned unsigned long."""
        return self._number(4, value)

    def octets(self, value: bytes) -> CdrWriter:
        """A sequence of octets."""
        return self.u32(len(value)).raw(value)

    def aligned(self, size: int, value: bytes) -> CdrWriter:
        """Bytes that begin at a multiple of `size`, such as those of several numbers."""
        self._data += bytes(-(self._start + len(self._data)) % size)
        self._data += value
        return self

    def string(self, value: str) -> CdrWriter:
        """A string with its NUL."""
        return self.octets(value.encode() + b"\0")

    def bytes(self) -> bytes:
        """Everything written."""
        return bytes(self._data)

    def _number(self, size: int, value: int) -> CdrWriter:
        return self.aligned(size, _LITTLE[size].pack(value))
