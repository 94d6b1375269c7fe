"""Nodes as child processes, for running without `ros2 launch`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from robot_ai.cli.signals import stopping_on_signals

# Seconds that a process gets to end after each signal, before the next, harder one.
GRACE = 5.0


@dataclass(frozen=True)
class NodeProcess:
    """A node to run: the module that holds its main and its parameters."""

    name: str
    module: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        """The command line."""
        arguments = [word for key, value in self.parameters.items() for word in ("-p", f"{key}:={_yaml(value)}")]
        return [sys.executable, "-m", self.module, "--ros-args", "-r", f"__node:={self.name}", *arguments]


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Runnable(Protocol):
    """What a group runs."""

    @property
    def name(self) -> str:
        """Its name, once in a group."""

    @property
    def command(self) -> list[str]:
        """The command line."""


class ProcessGroup:
    """Runs nodes until the `with` block is left, by whatever way; then none of them is left running."""

    def __init__(self, nodes: Sequence[Runnable], log_directory: Path, environment: Mapping[str, str]) -> None:
        self._nodes = nodes
        self._log_directory = log_directory
        self._environment = {**os.environ, **environment}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> ProcessGroup:
        self._log_directory.mkdir(parents=True, exist_ok=True)
        try:
            # A Ctrl-C in the middle of a start would leave a process that is in no list yet.
            with stopping_on_signals() as stopping:
                for node in self._nodes:
                    if not stopping():
                        self._start(node)
            if stopping():
                raise KeyboardInterrupt
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _start(self, node: Runnable) -> None:
        with self.log_file(node.name).open("wb") as log:
            # A session of its own: a Ctrl-C at the terminal reaches the parent alone, which ends them in order.
            self._running[node.name] = subprocess.Popen(
                node.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def _end(self) -> None:
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            left = [process for process in self._running.values() if process.poll() is None]
            for process in left:
                process.send_signal(stop)
            deadline = time.monotonic() + GRACE
            while any(process.poll() is None for process in left) and time.monotonic() < deadline:
                time.sleep(0.02)

    def log_file(self, name: str) -> Path:
        """Where a node's output goes."""
        return self._log_directory / f"{name}.log"

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a node's output."""
        text = self.log_file(name).read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def ended(self) -> dict[str, int]:
        """The nodes that have ended, with their exit codes."""
        codes = {name: process.poll() for name, process in self._running.items()}
        return {name: code for name, code in codes.items() if code is not None}
