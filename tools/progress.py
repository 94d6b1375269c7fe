"""Shows what the set-up is doing: a live line on a terminal, plain lines elsewhere, all details in a log file."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_TAIL_LINES = 25
_REFRESH_SECONDS = 0.2


class StepFailedError(Exception):
    """A command of the set-up ended with an error; its last lines are in the message."""


class Progress:
    """Runs numbered steps, one command each."""

    def __init__(self, steps: int, log: Path) -> None:
        self._steps = steps
        self._done = 0
        self._log = log
        # A CI machine may well hand out a terminal, but nobody watches it.
        self._live = sys.stdout.isatty() and not os.environ.get("CI")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")

    def step(self, what: str, command: list[str], environ: Mapping[str, str]) -> None:
        """Runs `command`; raises StepFailedError with the end of its output when it fails."""
        self._done += 1
        label, started = f"[{self._done}/{self._steps}] {what}", time.monotonic()
        if not self._live:
            print(f"{label} …", flush=True)
        with self._log.open("ab") as log:
            log.write(f"\n$ {shlex.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=dict(environ)
            )
            try:
                self._watch(process, label, started)
            except BaseException:
                # Ctrl-C reaches the command as well; it must be gone before anybody starts a second one.
                process.terminate()
                process.wait()
                self._write("\n")
                raise
        elapsed = time.monotonic() - started
        if process.returncode:
            self._write("\n")
            raise StepFailedError(
                f"{what}: the command ended with exit code {process.returncode} after {elapsed:.0f} s: "
                f"{shlex.join(command)}\n{self._tail()}\nEverything it said is in {self._log}"
            )
        line = f"{label}: done in {elapsed:.0f} s"
        print(f"\r\x1b[K{line}" if self._live else line, flush=True)

    def _watch(self, process: subprocess.Popen[bytes], label: str, started: float) -> None:
        while True:
            try:
                process.wait(_REFRESH_SECONDS)
                return
            except subprocess.TimeoutExpired:
                elapsed = time.monotonic() - started
                line = f"{label} … {elapsed:.0f} s  {self._last_line()}"
                self._write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")

    def _write(self, text: str) -> None:
        if self._live:
            sys.stdout.write(text)
            sys.stdout.flush()

    def _lines(self) -> list[str]:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - 16_384))
            return log.read().decode(errors="replace").splitlines()

    def _last_line(self) -> str:
        return next((line.strip() for line in reversed(self._lines()) if line.strip()), "")

    def _tail(self) -> str:
        return "\n".join(f"    {line}" for line in self._lines()[-_TAIL_LINES:])
