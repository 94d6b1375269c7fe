"""Times another library's clustering, in whatever Python has it: `clustering_rival.py LIBRARY CLOUDS.npz STEP ROUNDS`.

Imports nothing of ours, so that Debian's Python can run it. The last line printed is the answer, in JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def timed(job: Callable[[], object], rounds: int) -> float:
    """The median of a job's durations, in ms."""
    durations = []
    for _ in range(rounds):
        started = time.perf_counter()
        job()
        durations.append(time.perf_counter() - started)
    return sorted(durations)[len(durations) // 2] * 1e3


def _open3d(points: Any, step: float) -> Callable[[], int]:
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(float)))
    # A single point is a cluster: as ours and PCL's, which have no smallest size here.
    return lambda: int(max(cloud.cluster_dbscan(step, 1), default=-1)) + 1


def _pcl(points: Any, step: float) -> Callable[[], int]:
    import pcl

    cloud = pcl.PointCloud(points)

    def job() -> int:
        extraction = cloud.make_EuclideanClusterExtraction()
        extraction.set_ClusterTolerance(step)
        extraction.set_MinClusterSize(1)
        extraction.set_MaxClusterSize(len(points))
        extraction.set_SearchMethod(cloud.make_kdtree())
        return len(extraction.Extract())

    return job


def _version(library: str) -> str:
    from importlib import metadata

    names = {"open3d": ("open3d-cpu", "open3d"), "pcl": ("python-pcl", "pcl")}[library]
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "of unknown version"


def main() -> None:
    """Clusters each cloud of a file so many times."""
    import numpy as np

    library, file, step, rounds = sys.argv[1:]
    milliseconds, clusters = [], []
    with np.load(file) as clouds:
        for points in clouds.values():
            job = {"open3d": _open3d, "pcl": _pcl}[library](points, float(step))
            clusters.append(job())
            milliseconds.append(timed(job, int(rounds)))
    print(json.dumps({"version": _version(library), "milliseconds": milliseconds, "clusters": clusters}))


if __name__ == "__main__":
    main()
