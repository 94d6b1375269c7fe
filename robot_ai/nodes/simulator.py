"""simulator: a robot in a world, with the topics that Gazebo has through ros_gz_bridge."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from robot_ai.errors import RobotAIError, pip_install
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
from robot_ai.nodes.simulator_parameters import SimulatorParameters
from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status
from robot_ai.ros.errors import WorkerStuckError
from robot_ai.ros.lifecycle import SafeLifecycleNode, run
from robot_ai.ros.parameters import NodeParameters
from robot_ai.ros.simulation_port import SimulationPort, sensor_kind
from robot_ai.simulation.errors import SimulatorMissingError

try:
    from robot_ai.simulation.apart import open_scene_apart
    from robot_ai.simulation.memory import return_memory, small_pages
    from robot_ai.simulation.pacing import Pace
    from robot_ai.simulation.renderers import RAYS, choose, open_renderer
    from robot_ai.simulation.scene import MountedSensor, Scene
    from robot_ai.simulation.simulation import Settings, Simulation, Truth, label_names
except ImportError as error:
    raise SimulatorMissingError(
        f"the simulator needs MuJoCo, which is not usable here ({error}): {pip_install('simulation')}"
    ) from error

# Deactivation waits this long, in seconds, for the image under way.
STOP_TIMEOUT = 20.0
# All that happens once has happened after so many seconds of simulation.
_SETTLED = 5.0
# A world that runs slower than this share of what is asked for is worth a warning.
_SLOW = 0.95


class Simulator(SafeLifecycleNode):
    """One world. Topics, services and parameters: docs/simulation.md. Time stands still while it is not active."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("simulator", **kwargs)
        self._simulation: Simulation | None = None
        self._port: SimulationPort | None = None
        self._thread: threading.Thread | None = None
        self._pace = Pace(1.0)
        self._stop = threading.Event()
        self._fault = ""
        self._renderer = ""
        # What was tried in vain before it.
        self._broken: list[str] = []
        self._labels: tuple[str, ...] = ()
        self._settings = NodeParameters(
            self,
            SimulatorParameters,
            is_configured=lambda: self.is_configured,
            validate=SimulatorParameters.check,
        )
        self.report(self._statuses)

    def configure(self) -> None:
        """Loads the world, finds a renderer, creates the topics."""
        values = self._settings.values
        self._labels = ModelCard.load(find_model(values.labels), backends=()).labels
        with ThreadPoolExecutor(1) as pool:
            choice = pool.submit(choose, values.renderer)
            scene = open_scene_apart(values.world, values.robot, values.start, values.quality)
            self._renderer, self._broken = choice.result() if _has_camera(scene) else ("", [])
        for note in (*scene.world.notes, *label_names(self._labels, scene)):
            self.get_logger().warning(f"not simulated: {note}")
        for failure in self._broken:
            self.get_logger().warning(f"images are not drawn with {failure}")
        self._simulation = Simulation(scene, self._simulation_settings(scene, values))
        drive = self._simulation.drive
        self._port = SimulationPort(
            self,
            scene,
            None if drive is None else drive.settings,
            (lambda *_: None) if drive is None else drive.command,
        )
        self.get_logger().info(
            f"world {scene.world.name} from {scene.world.file}: {len(scene.placed)} models, {len(scene.sensors)} "
            f"sensors, images drawn with {self._renderer or 'nothing (no camera)'}"
        )

    def activate(self) -> None:
        """Lets time run."""
        self._stop.clear()
        self._fault = ""
        self._pace = Pace(self._settings.values.real_time_factor)
        self._thread = threading.Thread(target=self._run, name="simulation", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Lets time stand still; activation goes on from there."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        thread.join(STOP_TIMEOUT)
        if thread.is_alive():
            raise WorkerStuckError(f"an image was not drawn within {STOP_TIMEOUT:.0f} s; its thread is abandoned")

    def release(self) -> None:
        """Frees the world and the topics."""
        try:
            self.deactivate()
        finally:
            port, self._port, self._simulation = self._port, None, None
            self.destroy_all(port)

    @staticmethod
    def _simulation_settings(scene: Scene, values: SimulatorParameters) -> Settings:
        wanted = {
            "camera": values.camera_rate,
            "lidar": values.lidar_rate,
            "scan": values.scan_rate,
            "imu": values.imu_rate,
        }
        rates = {m.sensor.name: wanted[sensor_kind(m)] for m in scene.sensors if wanted[sensor_kind(m)] > 0}
        return Settings(
            seed=values.seed,
            noise=values.noise,
            image_drop=values.image_drop,
            sweep_drop=values.sweep_drop,
            beam_drop=values.beam_drop,
            walking_speed=values.walking_speed,
            rates=tuple(rates.items()),
        )

    def _run(self) -> None:
        """The simulation's thread: a renderer is made, used and closed in one thread."""
        simulation, port = self._simulation, self._port
        assert simulation is not None, "activate follows configure"
        assert port is not None, "activate follows configure"
        try:
            if self._renderer:
                simulation.renderer = open_renderer(simulation.scene, self._renderer)
                return_memory()
            try:
                settled = time.monotonic() + _SETTLED
                while not self._stop.is_set():
                    self._advance(simulation, port)
                    if time.monotonic() > settled:
                        # The first images have been drawn, for which drivers compile; much of that is not needed again.
                        return_memory()
                        settled = math.inf
            finally:
                renderer, simulation.renderer = simulation.renderer, None
                if renderer is not None:
                    renderer.close()
        except Exception as error:  # noqa: BLE001 - the node lives and says why its world stands still
            self._fault = str(error) if isinstance(error, RobotAIError) else f"{type(error).__name__}: {error}"
            self.get_logger().error(f"the simulation stopped: {self._fault}")

    def _advance(self, simulation: Simulation, port: SimulationPort) -> None:
        values = self._settings.values

        def truth(mounted: MountedSensor) -> Truth | None:
            if not port.wants_truth(mounted):
                return None
            return Truth(self._labels, values.min_pixels, values.min_visibility, values.min_points)

        told = -1
        for reading in simulation.advance(1.0 / values.clock_rate, truth, port.wants):
            # Nobody gets a message from the future.
            if reading.time != told:
                told = reading.time
                port.clock(told)
            port.publish(reading)
        if simulation.time != told:
            port.clock(simulation.time)
        self._pace.wait(simulation.time / 1e9)

    def _statuses(self) -> list[Status]:
        name = self.get_fully_qualified_name().lstrip("/")
        values, simulation, port = self._settings.values, self._simulation, self._port
        status = Status(f"{name}: world", values.world)
        running = self._thread is not None
        factor = self._pace.factor if running else 0.0
        status.values = {
            "state": self.state_label,
            "renderer": self._renderer,
            "not drawn with": "; ".join(self._broken),
            "real-time factor": f"{factor:.2f}",
            "real time lost (s)": f"{self._pace.lost:.2f}",
            "seed": str(values.seed),
        }
        if simulation is not None:
            status.values["simulated time (s)"] = f"{simulation.time / 1e9:.3f}"
            status.values |= {f"dropped on purpose: {key}": str(count) for key, count in simulation.drops.items()}
        if port is not None:
            rates = port.rates(time.monotonic())
            status.values |= {f"rate of {topic} (Hz)": f"{rate:.1f}" for topic, rate in rates.items()}
            status.values["commands refused"] = str(port.refused)
        if self._fault:
            status.find(ERROR, f"the simulation stopped: {self._fault}")
        elif self.last_error:
            status.find(ERROR, self.last_error)
        elif not running:
            status.find(WARN if values.autostart else OK, f"not active: {self.state_label}")
        elif factor and factor < _SLOW * values.real_time_factor:
            status.find(
                WARN, f"simulated time runs at {factor:.2f} of real time; {values.real_time_factor:g} is wanted"
            )
        if self._broken and self._renderer == RAYS:
            status.find(WARN, f"images are drawn by casting rays: {self._broken[0]}")
        return [status]


def _has_camera(scene: Scene) -> bool:
    return any(sensor_kind(mounted) == "camera" for mounted in scene.sensors)


def main(args: list[str] | None = None) -> int:
    """Runs the node."""
    small_pages()
    return run(Simulator, args)


if __name__ == "__main__":
    raise SystemExit(main())
