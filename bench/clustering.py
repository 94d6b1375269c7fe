"""Our clustering beside Open3D's DBSCAN and PCL's Euclidean clustering, on the same thinned points.

Neither belongs to our environment: Open3D pins what others need, and Debian's python3-pcl is built for Debian's own
Python and NumPy. So each runs in a process of the first Python that has it (`bench.clustering_rival`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.clustering_rival import timed
from bench.report import table
from robot_ai.lidar.cluster_detector import ClusterSettings, crop, ground_of, stands, thinned
from robot_ai.lidar.clusters import cluster
from robot_ai.lidar.files import READERS, read_points
from robot_ai.lidar.order import picked
from robot_ai.training.lidar_scenes import BEAMS, cast, random_scene

Points = NDArray[np.float32]

WORKER = Path(__file__).with_name("clustering_rival.py")
ROUNDS = 20
# Pythons that may have the others, beside our own: Debian's, and an environment that the page tells how to make.
PYTHONS = (sys.executable, "/usr/bin/python3", "out/rivals/bin/python")
RIVALS = {
    "open3d": "Open3D `cluster_dbscan`",
    "pcl": "PCL `EuclideanClusterExtraction`",
}
HOW = {
    "open3d": "python3 -m venv out/rivals && out/rivals/bin/pip install open3d-cpu",
    "pcl": "sudo apt install python3-pcl",
}


@dataclass(frozen=True)
class Answer:
    """What clustering took, in ms (median), and how many clusters it gave, for each cloud."""

    version: str
    milliseconds: list[float]
    clusters: list[int]


def run(scans: Path | None = None) -> str:
    """A table of all clouds: the scans of a folder, or simulated ones; and how to get what is not installed."""
    clouds = {name: clustered(points) for name, points in (_scans(scans) if scans else _simulated()).items()}
    tolerance = ClusterSettings().tolerance
    ours = [timed(lambda points=points: cluster(points, tolerance), ROUNDS) for points in clouds.values()]
    counts = [int(cluster(points, tolerance).max(initial=-1)) + 1 for points in clouds.values()]
    answers, missing = {}, []
    for library, title in RIVALS.items():
        answer = ask(library, clouds, tolerance)
        if isinstance(answer, Answer):
            answers[library] = answer
        else:
            missing.append(f"{title} was not measured: {answer}. To have it: `{HOW[library]}`")
    header = ["Cloud", "Thinned points", "Clusters", "Ours (ms)"]
    for library, answer in answers.items():
        header += [f"{RIVALS[library]} {answer.version} (ms)", "of ours", "Clusters"]
    rows: list[list[object]] = []
    for index, (name, points) in enumerate(clouds.items()):
        row: list[object] = [name, len(points), counts[index], ours[index]]
        for answer in answers.values():
            row += [answer.milliseconds[index], answer.milliseconds[index] / ours[index], answer.clusters[index]]
        rows.append(row)
    return "\n\n".join([table(header, rows), *missing])


def clustered(points: Points) -> Points:
    """What the detector clusters of a cloud (N, 3): above the ground, one point per cube, in the shrunk space."""
    settings = ClusterSettings()
    points = crop(points, settings, None)
    above = ground_of(points, settings)
    return thinned(picked(points, stands(above, settings)), settings).points


def ask(library: str, clouds: Mapping[str, Points], tolerance: float, pythons: Sequence[str] = ()) -> Answer | str:
    """Lets the first of the Pythons that has the library cluster the clouds on one core; else why none could."""
    reasons = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clouds.npz"
        np.savez(file, *clouds.values())
        for python in pythons or PYTHONS:
            named = "this Python" if python == sys.executable else python
            try:
                done = subprocess.run(
                    [python, str(WORKER), library, str(file), str(tolerance), str(ROUNDS)],
                    capture_output=True, text=True, check=False, timeout=600,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "TBB_NUM_THREADS": "1"},
                )  # fmt: skip
            except OSError as error:
                reasons.append(f"{named}: {error.strerror}")
                continue
            if done.returncode == 0:
                return Answer(**json.loads(done.stdout.splitlines()[-1]))
            reasons.append(f"{named}: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1]}")
    return "; ".join(reasons)


def _scans(folder: Path) -> dict[str, Points]:
    """Every scan of a folder, whole and every second point of it."""
    files = sorted(file for file in folder.iterdir() if file.suffix in READERS)
    if not files:
        raise SystemExit(f"{folder} has no scans; expected files ending {', '.join(READERS)}")
    clouds = {}
    for file in files:
        points = read_points(file)
        clouds[file.stem] = points
        clouds[f"{file.stem}, half"] = points[::2]
    return clouds


def _simulated() -> dict[str, Points]:
    clouds = {}
    for beams in (64, 128):
        for seed in range(2):
            rng = np.random.default_rng(seed)
            clouds[f"{beams} x 1024, simulated, {seed}"] = cast(random_scene(rng), BEAMS[beams], rng).measured
    return clouds
