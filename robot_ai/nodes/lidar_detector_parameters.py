"""The parameters of lidar_detector. docs/parameters.md is generated from here."""

from __future__ import annotations

from dataclasses import dataclass

from robot_ai.backends.loading import BackendChoice
from robot_ai.lidar.clouds import MAX_POINTS
from robot_ai.lidar.cluster_detector import ClusterSettings
from robot_ai.lidar.detections import LABELS
from robot_ai.lidar.filters import Region
from robot_ai.lidar.ground import GroundSettings
from robot_ai.lidar.scan_detector import ScanSettings
from robot_ai.nodes.model_parameters import ModelParameters
from robot_ai.pipeline.cloud_detector import AUTO, CLUSTER, METHODS, PILLARS, SweepSettings
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import parameter

_CLOUD, _SCAN = ClusterSettings(), ScanSettings()


@dataclass(frozen=True)
class LidarDetectorParameters(ModelParameters):
    """A consistent set of values; a cloud is processed with one set from beginning to end."""

    backend: str = parameter(
        AUTO,
        "what runs the model of method pillars: a backend, backend/variant such as pytorch/pt2, or auto: the quickest "
        "on a processor that is installed and that the card has an artifact for",
        swaps=True,
    )
    model: str = parameter(
        "pillarnet", "of method pillars: a directory with a model.yaml, or a name in models/", swaps=True
    )
    fallback_backends: tuple[str, ...] = parameter(
        (CLUSTER,), "backends, or cluster, that take over in this order when the chosen one of method pillars fails"
    )
    method: str = parameter(
        CLUSTER, "how clouds are searched: cluster needs no model; pillars is learned", choices=METHODS, swaps=True
    )
    input: str = parameter("points", "points (PointCloud2) or scan (LaserScan)", choices=("points", "scan"))
    target_frame: str = parameter(
        "", "frame of detection and of the boxes, whose z points up; empty: the cloud's own", while_running=True
    )
    tf_timeout: float = parameter(
        0.1, "longest wait, in seconds, for the transform at a cloud's stamp", minimum=0.0, maximum=5.0,
        while_running=True,
    )  # fmt: skip
    score_threshold: float = parameter(
        -1.0, "lowest score published; -1: 0.3 of clusters and scans, the model card's of pillars", minimum=-1.0,
        maximum=1.0, while_running=True,
    )  # fmt: skip
    class_filter: tuple[str, ...] = parameter((), "labels that are published; empty: all", while_running=True)
    min_range: float = parameter(
        -1.0,
        f"nearer points are not looked at, in meters; -1: {_CLOUD.min_range:g} of clouds, {_SCAN.min_range:g} of scans",
        minimum=-1.0, maximum=100.0,
        while_running=True,
    )  # fmt: skip
    max_range: float = parameter(
        _CLOUD.max_range, "farther points are not looked at, in meters", minimum=0.1, maximum=500.0, while_running=True
    )
    region: str = parameter(
        "", "only points inside are looked at: x_min x_max y_min y_max z_min z_max; empty: all", while_running=True
    )
    robot_region: str = parameter(
        "", "points inside are the robot's own: x_min x_max y_min y_max z_min z_max; empty: none", while_running=True
    )
    max_height: float = parameter(
        _CLOUD.max_height, "points higher above the ground are not looked at, in meters", minimum=0.1, maximum=100.0,
        while_running=True,
    )  # fmt: skip
    ground_clearance: float = parameter(
        _CLOUD.ground_clearance, "points lower above the ground belong to it, in meters", minimum=0.02, maximum=2.0,
        while_running=True,
    )  # fmt: skip
    ground_max_slope: float = parameter(
        _CLOUD.ground.max_slope, "steepest ground, rise over run", minimum=0.0, maximum=2.0, while_running=True
    )
    voxel_size: float = parameter(
        _CLOUD.voxel, "edge of the cubes that clouds are thinned by, in meters, at the sensor",
        minimum=0.01, maximum=2.0,
        while_running=True,
    )  # fmt: skip
    cluster_tolerance: float = parameter(
        _CLOUD.tolerance, "largest step within an object, in meters, at the sensor", minimum=0.02, maximum=5.0,
        while_running=True,
    )  # fmt: skip
    cluster_tolerance_growth: float = parameter(
        _CLOUD.tolerance_growth, "what each meter of distance adds to it: the angle between the beams, in radians",
        minimum=0.0, maximum=0.2, while_running=True,
    )  # fmt: skip
    min_points: int = parameter(
        _CLOUD.min_points, "smallest object of a cloud, in points", minimum=1, maximum=10_000, while_running=True
    )
    max_size: float = parameter(
        _CLOUD.max_size, "longest side of an object, in meters; walls are larger", minimum=0.1, maximum=200.0,
        while_running=True,
    )  # fmt: skip
    deskew: str = parameter(
        "none",
        "correct clouds for the lidar's motion within a turn, by topic twist (TwistStamped) or odom (Odometry); points "
        "need a time field", choices=("none", "twist", "odom"),
    )  # fmt: skip
    tracking: bool = parameter(False, "number objects from cloud to cloud, and estimate velocities", while_running=True)
    max_rate: float = parameter(
        0.0, "most clouds per second, in Hz; 0: no limit", minimum=0.0, maximum=1000.0, while_running=True
    )
    max_cloud_points: int = parameter(
        MAX_POINTS, "larger clouds are dropped as malformed", minimum=1, maximum=100_000_000, while_running=True
    )
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", read_only=True)

    @property
    def choice(self) -> BackendChoice:
        """The part that decides what is loaded: the method without a model is a backend of its own."""
        if self.method == CLUSTER or self.input == "scan":
            return BackendChoice(model="", backend=CLUSTER)
        return super().choice

    @property
    def settings(self) -> SweepSettings:
        """The part that the detector takes with every cloud. Raises RegionError."""
        cluster = ClusterSettings(
            min_range=self.min_range if self.min_range >= 0 else _CLOUD.min_range,
            max_range=self.max_range,
            region=Region.parse(self.region) if self.region else Region(),
            robot=Region.parse(self.robot_region) if self.robot_region else None,
            ground=GroundSettings(max_slope=self.ground_max_slope),
            max_height=self.max_height,
            ground_clearance=self.ground_clearance,
            voxel=self.voxel_size,
            tolerance=self.cluster_tolerance,
            tolerance_growth=self.cluster_tolerance_growth,
            min_points=self.min_points,
            max_size=self.max_size,
            score=self.score_threshold if self.score_threshold >= 0 else None,
            classes=self.class_filter,
        )
        scan = ScanSettings(
            min_range=self.min_range if self.min_range >= 0 else _SCAN.min_range,
            max_range=self.max_range,
            max_size=self.max_size,
            score=self.score_threshold if self.score_threshold >= 0 else _SCAN.score,
            classes=self.class_filter,
        )
        return SweepSettings(cluster, scan, self.target_frame.lstrip("/"), self.tracking)

    def check(self) -> None:
        """Raises ParameterError or RegionError for values that no range can express."""
        super().check()
        if self.method == PILLARS and self.input == "scan":
            raise ParameterError("method is pillars and input scan; expected method cluster: a scan is no cloud")
        if self.deskew != "none" and self.input == "scan":
            raise ParameterError(f"deskew is {self.deskew} and input scan; expected none: only clouds are corrected")
        unknown = [name for name in self.class_filter if name not in LABELS]
        if unknown:
            raise ParameterError(f"class_filter names '{unknown[0]}'; expected among {', '.join(LABELS)}")
        looked_at = self.settings.scan if self.input == "scan" else self.settings.cluster
        if looked_at.min_range >= looked_at.max_range:
            raise ParameterError(
                f"min_range is {looked_at.min_range} and max_range {looked_at.max_range}; expected min < max"
            )
        if self.voxel_size > self.cluster_tolerance:
            raise ParameterError(
                f"voxel_size is {self.voxel_size} and cluster_tolerance {self.cluster_tolerance}; expected cubes "
                f"smaller than the steps between points"
            )
