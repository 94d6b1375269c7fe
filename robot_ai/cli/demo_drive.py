"""One run of the demo: its start, its drive with a swap half way, its film and its sheet of pictures."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
from rclpy.experimental import EventsExecutor

from robot_ai.bringup.table import CAMERA, DRIVER, SIMULATION, default_name
from robot_ai.cli.demo_report import report
from robot_ai.cli.demo_stops import Stop
from robot_ai.cli.demo_swap import DemoSwap
from robot_ai.cli.demo_watch import SAFETY, DemoWatch
from robot_ai.cli.processes import ProcessGroup
from robot_ai.errors import RobotAIError
from robot_ai.viewing.pictures import Film, Moment, compose, contact_sheet

FILM_RATE = 5.0
_TICK = 0.02
_LINE_PERIODS = {True: 0.5, False: 5.0}
# Pictures on the sheet, and how many of them at most are of stops.
_SHEET, _STOPS = 6, 3
# The swap comes after this share of the time.
_SWAP_AT = 0.4
# A framework takes long to load beside all else; the drive goes on for it, but no longer than this, in seconds.
_SWAP_PATIENCE = 60.0


class DemoError(RobotAIError):
    """The demo cannot show what it is for."""


class Drive:
    """One run: waits for the start, watches, swaps once, draws, and says how it was."""

    def __init__(self, backend: str, group: ProcessGroup, film: Film) -> None:
        """`backend` is the one it starts with."""
        self._group = group
        self._film = film
        self._sheet: list[Any] = []
        # Which of them show a stop.
        self._of_stops: list[int] = []
        # The stops that the newest picture and the newest line were of.
        self._drawn: Stop | None = None
        self._told: Stop | None = None
        self._next_frame = 0.0
        self._terminal = sys.stdout.isatty()
        self._next_line = 0.0
        self._began = time.monotonic()
        topics = {key: default_name(key) for key in ("image", "points", "detections_2d", "detections_fused")}
        topics["vision_info"] = default_name(CAMERA.topics["vision_info"])
        self._watch = DemoWatch(topics, self._draw)
        self._executor = EventsExecutor()
        self._executor.add_node(self._watch)
        self._swap = DemoSwap(self._watch, backend)

    def start(self, patience: float) -> None:
        """Waits until detections flow. Raises DemoError when a node ends, reports a fault, or time is up."""
        deadline = time.monotonic() + patience
        while not self._watch.running:
            self._spin()
            for status, fault in self._watch.faults.items():
                if self._watch.value(status, "state") == "unconfigured":
                    raise DemoError(f"{status.partition(':')[0]}: {fault}")
            if time.monotonic() > deadline:
                said = "\n".join(f"{m.executable.name}: {self._group.tail(m.executable.name, 3)}" for m in SIMULATION)
                raise DemoError(f"no detections within {patience:.0f} s; the nodes said:\n{said}")
        print(f"Detections flow after {time.monotonic() - self._began:.1f} s.", flush=True)
        self._began = time.monotonic()
        self._watch.begin()
        # From before there is little to see.
        self._sheet.clear()
        self._of_stops.clear()

    def go_on(self, duration: float, swap_to: str) -> None:
        """Drives for so many seconds, or until the swap is through, if any. Raises DemoError when a node ends."""
        while (passed := time.monotonic() - self._began) < duration or (
            self._swap.under_way and passed < duration + _SWAP_PATIENCE
        ):
            self._spin()
            if swap_to and not self._swap.asked and passed > _SWAP_AT * duration:
                self._swap.ask(swap_to)
            self._tell_stops()
            self._say()
        if self._terminal:
            print()

    def report(self, output: Path) -> int:
        """Writes the sheet and the scores, prints the summary; the exit code."""
        if self._sheet:
            chosen = spread(len(self._sheet), _SHEET, self._of_stops[:_STOPS])
            cv2.imwrite(str(output / "summary.png"), contact_sheet([self._sheet[i] for i in chosen], 2, 360))
        report(self._watch, self._swap.describe(), output)
        if not self._watch.persons_seen:
            print("\nNo person was detected.", file=sys.stderr)
        return 0 if self._watch.persons_seen else 1

    def close(self) -> None:
        """Stops listening."""
        self._executor.shutdown(timeout_sec=1.0)
        self._watch.destroy_node()

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=_TICK)
        for name, code in self._group.ended().items():
            raise DemoError(f"{name} ended with exit code {code}:\n{self._group.tail(name)}")
        self._swap.look()

    def _draw(self, stamp: int, moment: Callable[[], Moment]) -> None:
        if stamp / 1e9 < self._next_frame:
            return
        self._next_frame = stamp / 1e9 + 1 / FILM_RATE - 0.01
        caption = f"{self._watch.seconds(stamp):5.1f} s   {self._state()}"
        stop = self._watch.log.latest
        picture = compose(replace(moment(), caption=caption, alarm=bool(self._watch.log.stopped)))
        self._film.add(picture)
        begins = stop is not None and stop is not self._drawn
        self._drawn = stop
        if begins:
            self._of_stops.append(len(self._sheet))
        # Every second is enough to choose from.
        if begins or self._film.frames % round(FILM_RATE) == 1:
            self._sheet.append(picture)

    def _state(self) -> str:
        """Backend, what the driver is about, and what the microcontroller does."""
        watch = self._watch
        stopped, stop = watch.log.stopped, watch.log.latest
        mcu = "no word yet" if stopped is None else f"{watch.motors:.2f} m/s"
        if stopped:
            mcu = f"STOP {stop.before}" if stop is not None else "STOP"
        elif watch.value(SAFETY, "state") == "TURN_ONLY":
            mcu = "may turn only"
        backend = watch.value(f"{CAMERA.executable.name}: model", "backend")
        mode = watch.value(f"{DRIVER.executable.name}: driver", "mode")
        return f"{backend}   {mode}   mcu {mcu}"

    def _tell_stops(self) -> None:
        """A line for each stop, and one when it is over: the status line alone would miss short ones."""
        stop, told = self._watch.log.latest, self._told
        if stop is told:
            return
        self._told = stop
        lines = []
        if told is not None:
            lines.append(f"{self._watch.seconds():5.1f} s  drives on, {told.lasted:.1f} s after the stop")
        if stop is not None:
            lines.append(f"{stop.at:5.1f} s  STOP {stop.before}")
        for line in lines:
            print(f"\r{line:<{_columns()}}" if self._terminal else line, flush=True)

    def _say(self) -> None:
        now = time.monotonic()
        if now < self._next_line:
            return
        self._next_line = now + _LINE_PERIODS[self._terminal]
        watch = self._watch

        def rate(status: str) -> str:
            stages = ("preprocess", "forward", "postprocess", "cluster", "fuse")
            spent = sum(float(watch.value(status, f"{stage} p50 (ms)", "0")) for stage in stages)
            return f"{watch.value(status, 'output rate (Hz)')} Hz {spent:.0f} ms"

        person = watch.scores.image.classes["person"].recall
        line = (
            f"{watch.seconds():5.1f} s  camera {rate('camera_detector: camera')}  lidar "
            f"{rate('lidar_detector: lidar')}  fused {rate('detection_fusion: fusion')}  {self._state()}  "
            f"person recall {person:.2f}  rtf {watch.real_time_factor:.2f}"
        )
        if self._terminal:
            print(f"\r{line[: _columns()]:<{_columns()}}", end="", flush=True)
        else:
            print(line, flush=True)


def spread(there: int, count: int, wanted: Collection[int] = ()) -> list[int]:
    """`count` of the numbers below `there`, evenly over all of them; each wanted one takes the nearest one's place."""
    chosen = {round(i * (there - 1) / max(count - 1, 1)) for i in range(count)}
    for number in wanted:
        if number not in chosen and (free := chosen.difference(wanted)):
            chosen.remove(min(free, key=lambda other: abs(other - number)))
            chosen.add(number)
    return sorted(chosen)


def _columns() -> int:
    return os.get_terminal_size().columns - 1
