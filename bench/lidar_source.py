"""A lidar in a process of its own: simulated clouds of 64 x 1024 points at a fixed rate."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from bench.source import publish, source_arguments
from robot_ai.ros.clouds import to_cloud
from robot_ai.training.lidar_scenes import BEAMS, cast, random_scene

SCENES = 8


def cloud(seed: int) -> PointCloud2:
    """A scan of a scene of its own."""
    rng = np.random.default_rng(seed)
    return to_cloud(cast(random_scene(rng), BEAMS[64], rng).points, Header(frame_id="lidar"), rows=64)


def main() -> None:
    """Publishes the scans in turn, best effort, as lidars do."""
    parser = source_arguments(rate=10.0)
    parser.set_defaults(reliability="best_effort")
    publish("points", [cloud(seed) for seed in range(SCENES)], parser.parse_args())


if __name__ == "__main__":
    main()
