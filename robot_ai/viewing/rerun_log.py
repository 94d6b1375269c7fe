"""What a robot sees and does, for Rerun's viewer: live in a browser, or in a recording to open later."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.detections import OBSTACLE, Detections3D
from robot_ai.perception.detections import Detections
from robot_ai.perception.drawing import class_color
from robot_ai.viewing.errors import ViewerError, ViewerMissingError

_TIMELINE = "robot time"
_JPEG_QUALITY = 75
_BASE = "world/robot"
_CAMERA = "camera"
_TRUTH_COLOR = (255, 255, 255)
_BACKGROUND = (24, 26, 30)  # white boxes are seen on it, whatever the viewer's theme
_MOST_PATH = 5000


@dataclass(frozen=True)
class Served:
    """Where a browser finds the viewer."""

    address: str


class RerunLog:
    """Writes what it is given under the robot's time, in seconds. Not thread-safe.

    Raises ViewerMissingError without rerun-sdk, ViewerError when a port or the file cannot be had.
    """

    def __init__(self, recording: Path | None, web_port: int | None, grpc_port: int = 9876) -> None:
        try:
            import rerun
            from rerun import blueprint
        except ImportError as error:
            raise ViewerMissingError from error
        self._rr: Any = rerun
        self._stream: Any = rerun.RecordingStream("robot_ai")
        self._path: list[tuple[float, float]] = []
        self.served: Served | None = None
        sinks: list[Any] = []
        address = ""
        try:
            if web_port is not None:
                _check_free(grpc_port)  # the sink's server tells no one that it cannot listen
                # Not serve_grpc: its server ends when the sink is replaced by two.
                sinks.append(rerun.GrpcServerSink(port=grpc_port))
                address = f"rerun+http://127.0.0.1:{grpc_port}/proxy"
            if recording is not None:
                recording.parent.mkdir(parents=True, exist_ok=True)
                sinks.append(rerun.FileSink(str(recording)))
            if sinks:
                rerun.set_sinks(*sinks, recording=self._stream)
            if web_port is not None:
                rerun.serve_web_viewer(web_port=web_port, open_browser=False, connect_to=address)
                self.served = Served(f"http://localhost:{web_port}/?url={address}")
        except (RuntimeError, OSError, ValueError) as error:
            raise ViewerError(f"the viewer cannot start: {error}; is port {web_port} or {grpc_port} taken?") from error
        self._stream.send_blueprint(_layout(blueprint))

    def at(self, seconds: float) -> None:
        """What follows happened then."""
        self._stream.set_time(_TIMELINE, duration=seconds)

    def image(self, image: NDArray[np.uint8]) -> None:
        """The camera's newest image, BGR (H, W, 3)."""
        # Rerun's own compress() takes Pillow, which is slower, and wants RGB.
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        self._log(_CAMERA, self._rr.EncodedImage(contents=encoded.tobytes(), media_type="image/jpeg"))

    def boxes(self, found: Detections, truth: bool = False) -> None:
        """Boxes in the camera's image; those of the truth are white and thin."""
        colors = [_TRUTH_COLOR if truth else _rgb(name) for name in found.names]
        labels = found.names if truth else _labels(found.names, found.scores)
        boxes = self._rr.Boxes2D(
            array=found.xyxy,
            array_format=self._rr.Box2DFormat.XYXY,
            colors=colors,
            labels=labels,
            show_labels=not truth,
        )
        self._log(f"{_CAMERA}/{'truth' if truth else 'detections'}", boxes)

    def cloud(self, points: NDArray[np.floating]) -> None:
        """Points (N, 3) in the robot's frame."""
        heights = np.clip(points[:, 2] / 2, 0, 1) if len(points) else np.empty(0)
        colors = np.column_stack([80 + 150 * heights, 120 + 80 * heights, 230 - 120 * heights]).astype(np.uint8)
        self._log(f"{_BASE}/points", self._rr.Points3D(points, colors=colors, radii=0.015))

    def boxes_3d(self, found: Detections3D, truth: bool = False) -> None:
        """Boxes in the robot's frame; obstacles, which are many, and those of the truth without their names."""
        if truth:
            self._log(f"{_BASE}/truth", self._edges(found, np.arange(len(found)), truth))
            return
        unknown = np.array([name == OBSTACLE for name in found.names], bool)
        for entity, chosen in (("detections", ~unknown), ("obstacles", unknown)):
            self._log(f"{_BASE}/{entity}", self._edges(found, np.flatnonzero(chosen), truth))

    def _edges(self, found: Detections3D, chosen: NDArray[np.integer], truth: bool) -> Any:
        half = found.yaws[chosen] / 2
        names = [found.names[index] for index in chosen.tolist()]
        return self._rr.Boxes3D(
            centers=found.centers[chosen],
            sizes=found.sizes[chosen],
            quaternions=np.column_stack([np.zeros((len(chosen), 2)), np.sin(half), np.cos(half)]),
            colors=[_TRUTH_COLOR if truth else _rgb(name) for name in names],
            labels=_labels(names, found.scores[chosen]),
            show_labels=not truth and OBSTACLE not in names,
            fill_mode=self._rr.components.FillMode.MajorWireframe,
        )

    def pose(self, pose: RigidTransform) -> None:
        """Where the robot is, in the frame of its odometry."""
        self._log(_BASE, self._rr.Transform3D(translation=pose.translation, mat3x3=pose.rotation))
        place = (float(pose.translation[0]), float(pose.translation[1]))
        if not self._path or np.hypot(place[0] - self._path[-1][0], place[1] - self._path[-1][1]) > 0.05:
            self._path = [*self._path[-_MOST_PATH:], place]
            line = np.column_stack([np.array(self._path), np.full(len(self._path), 0.02)])
            self._log("world/path", self._rr.LineStrips3D([line], colors=[(255, 200, 80)], radii=0.02))

    def number(self, name: str, value: float) -> None:
        """A value to plot, such as latency/forward or speed/motors."""
        self._log(name, self._rr.Scalars(value))

    def text(self, name: str, text: str, warning: bool = False) -> None:
        """A line in the log."""
        level = self._rr.TextLogLevel.WARN if warning else self._rr.TextLogLevel.INFO
        self._log(name, self._rr.TextLog(text, level=level))

    def close(self) -> None:
        """Writes what is left."""
        self._stream.flush()
        self._stream.disconnect()

    def _log(self, name: str, archetype: Any) -> None:
        self._stream.log(name, archetype)


def _check_free(port: int) -> None:
    """Raises OSError when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("", port))


def _layout(blueprint: Any) -> Any:
    legend = blueprint.PlotLegend(visible=False)  # it would hide small plots; the cursor names the lines, too
    plots = [
        blueprint.TimeSeriesView(origin="latency", name="latency (ms)", plot_legend=legend),
        blueprint.TimeSeriesView(origin="speed", name="speed (m/s) and stop"),
    ]
    return blueprint.Blueprint(
        blueprint.Horizontal(
            blueprint.Vertical(
                blueprint.Spatial2DView(origin=_CAMERA, name="camera"), blueprint.Horizontal(*plots), row_shares=[2, 1]
            ),
            blueprint.Vertical(
                blueprint.Spatial3DView(origin="world", name="lidar", background=_BACKGROUND),
                blueprint.TextLogView(origin="log", name="log"),
                row_shares=[4, 1],
            ),
        ),
        collapse_panels=True,
    )


def _rgb(label: str) -> tuple[int, int, int]:
    blue, green, red = class_color(label)
    return red, green, blue


def _labels(names: list[str], scores: NDArray[np.floating]) -> list[str]:
    return [f"{name} {score:.2f}" for name, score in zip(names, scores.tolist(), strict=True)]
