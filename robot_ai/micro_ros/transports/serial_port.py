"""A serial line, or a pseudo-terminal: frames, and a port that may be absent, be unplugged and come back."""

from __future__ import annotations

import errno
import os
import selectors
import termios
from collections import Counter
from collections.abc import Hashable
from typing import cast

import serial

from robot_ai.micro_ros.config import SerialSettings
from robot_ai.micro_ros.framing import AGENT_ADDRESS, Deframer, frame
from robot_ai.micro_ros.notices import LOGGER
from robot_ai.micro_ros.transports.base import Received, Transport

# The kernel holds no more of a line.
_READ_SIZE = 1 << 12
_MOST_UNSENT = 1 << 16
_FIRST_RETRY = 0.1
_LONGEST_RETRY = 2.0


def advise(error: Exception, device: str) -> str:
    """What to do about a port that cannot be opened, to go behind the error; empty where nobody knows."""
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return "; your user must be in the group dialout: `sudo usermod -aG dialout $USER`, and log in again"
    if number == errno.ENOENT:
        return "; is it plugged in? `ls /dev/serial/by-id` shows what is"
    if number in (errno.EAGAIN, errno.EBUSY):
        return f"; another program has it: `fuser -v {device}` names it"
    # As it is, or within what pyserial made of it.
    if isinstance(error, termios.error) or isinstance(error.__context__, termios.error):
        return "; expected a serial port, such as one below /dev/serial/by-id"
    return ""


class SerialTransport(Transport):
    """One port. Sessions outlive it: a microcontroller that was unplugged goes on where it was."""

    def __init__(self, settings: SerialSettings) -> None:
        super().__init__()
        self._settings = settings
        self._port: serial.Serial | None = None
        self._descriptor = -1
        self._deframer = Deframer(AGENT_ADDRESS)
        self._unsent = bytearray()
        self._waits_for_room = False
        self._wait = _FIRST_RETRY
        self._retry_at = 0.0
        self._problem = "not opened yet"
        self._now = 0.0
        self.name = f"serial {settings.device}"

    def open(self, now: float) -> None:
        """Tries the port; one that is absent is tried again, ever more slowly, up to every two seconds."""
        self.poll(now)

    def poll(self, now: float) -> float | None:
        """Opens the port when it is time to try."""
        self._now = now
        if self._port is not None:
            return None
        if now < self._retry_at:
            return self._retry_at
        try:
            port = serial.Serial(self._settings.device, self._settings.baud_rate, timeout=0, exclusive=True)
            port.reset_input_buffer()
            port.reset_output_buffer()
        # Besides what pyserial names, termios.error comes through from a device that is no terminal.
        except Exception as error:  # noqa: BLE001
            return self._fail(f"cannot be opened: {error}{advise(error, self._settings.device)}", now)
        LOGGER.info("%s is open", self.name)
        self._port = port
        self._descriptor = port.fileno()
        self._wait = _FIRST_RETRY
        self._problem = ""
        self.watch(self._descriptor, self._ready)
        return None

    def send(self, address: Hashable, message: bytes) -> None:
        """Sends a frame to the address, 0 to 255; what a slow or absent line cannot take is lost."""
        if self._port is None:
            self.rejected["frames for a port that is not open"] += 1
            return
        if len(self._unsent) > _MOST_UNSENT:
            self.rejected["frames that a slow line did not take"] += 1
            return
        self._unsent += frame(message, AGENT_ADDRESS, cast(int, address))

    def flush(self) -> None:
        """Writes what was gathered, as much as the line takes."""
        if not self._unsent or self._port is None:
            return
        try:
            sent = os.write(self._descriptor, self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(f"lost while writing: {error}")
            return
        self.bytes_out += sent
        del self._unsent[:sent]
        if bool(self._unsent) != self._waits_for_room:
            self._waits_for_room = not self._waits_for_room
            self.watch_writing(self._descriptor, self._waits_for_room)

    def describe(self, address: Hashable) -> str:
        """ "serial device address n"."""
        return f"{self.name} address {address}"

    def state(self) -> str:
        """ "open", or why not."""
        return "open" if self._port is not None else self._problem

    def rejections(self) -> Counter[str]:
        """What was thrown away, by cause."""
        return self.rejected + self._deframer.rejected

    def close(self) -> None:
        """Closes the port without waiting for what is unsent."""
        port, self._port = self._port, None
        if port is None:
            return
        self.loop.unregister(self._descriptor)
        self._descriptor = -1
        if self._unsent:
            self.rejected["bytes for a line that was lost"] += len(self._unsent)
            self._unsent.clear()
        self._waits_for_room = False
        self._deframer.reset()
        try:
            # A driver may wait half a minute for a line that takes nothing, unless it has nothing to send.
            port.reset_output_buffer()
            port.close()
        # A port that was pulled out fails here in ways that pyserial does not name.
        except Exception as error:  # noqa: BLE001
            LOGGER.debug("%s closes with %s", self.name, error)

    def _ready(self, events: int) -> Received:
        if events & selectors.EVENT_WRITE:
            self.flush()
        if not events & selectors.EVENT_READ or self._port is None:
            return []
        try:
            data = os.read(self._descriptor, _READ_SIZE)
        except BlockingIOError:
            return []
        except OSError as error:
            self._lose(f"lost while reading: {error}")
            return []
        if not data:
            self._lose("lost: the line was hung up")
            return []
        self.bytes_in += len(data)
        return cast(Received, self._deframer.feed(data))

    def _lose(self, problem: str) -> None:
        self.close()
        self._retry_at = 0.0
        self._fail(problem, self._now)

    def _fail(self, problem: str, now: float) -> float:
        if problem != self._problem.split("; tried")[0]:
            LOGGER.warning("%s %s", self.name, problem)
        self._problem = f"{problem}; tried again every {self._wait:.1f} s"
        self._retry_at = now + self._wait
        self._wait = min(self._wait * 2, _LONGEST_RETRY)
        return self._retry_at
