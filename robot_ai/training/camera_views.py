"""Views of a simulated world with true boxes, as a COCO data set: what the camera detector is fine-tuned on.

The robot is put down at random in the free space, the walkers are somewhere on their ways, light and exposure vary.
Everything follows from the settings: the same ones on the same machine give the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from robot_ai.simulation.errors import RendererError
from robot_ai.simulation.ground_truth import Observer, Seen
from robot_ai.simulation.noise import ImageNoise
from robot_ai.simulation.opening import open_scene
from robot_ai.simulation.quality import Quality
from robot_ai.simulation.renderers import RAYS, Renderer, choose, open_renderer
from robot_ai.simulation.scene import MountedSensor, Scene
from robot_ai.simulation.sdf_types import CameraSpec
from robot_ai.simulation.simulation import Settings, Simulation
from robot_ai.training.coco import ANNOTATIONS, DataSetError

ROBOT = "model://robot"
# Every fifth tile of the floor, of one square meter, is kept for held-out views.
_TILES = 5
_TRIES = 500
# As the simulator node draws by default.
_SHADOWS, _ANTIALIASING = 1024, 0
# Contacts this far above the floor are with things, in meters.
_FLOOR = 0.05
_MIN_PIXELS, _MIN_VISIBLE = 16, 0.02
_QUALITY = 95


@dataclass(frozen=True)
class ViewSettings:
    """held_out: views from the tiles of the floor that no training view is taken from, in the world's own light.

    visible: least visible share of a thing that must be found; less visible ones are marked `iscrowd`: no mistake
    either way. renderer: egl, osmesa, auto for the first of both that works, or rays.
    """

    world: str = "room"
    count: int = 600
    seed: int = 1
    held_out: bool = False
    visible: float = 0.25
    renderer: str = "auto"


@dataclass(frozen=True)
class View:
    """(H, W, 3) uint8 BGR, and what is seen on it."""

    image: NDArray[np.uint8]
    seen: Seen
    position: tuple[float, float, float]
    """x, y in meters and heading in radians of the robot in the world."""


def make_views(settings: ViewSettings, labels: tuple[str, ...], folder: Path) -> None:
    """Writes images/ and instances.json, unless they are there already. labels: names by the worlds' label numbers.

    Annotations carry more than COCO's keys: `thing`, the model's name; `visible`, its visible share; `distance` in
    meters. Raises DataSetError when the folder holds views of other settings, and a WorldError or RendererError.
    """
    wanted = {"settings": asdict(settings), "labels": list(labels)}
    file = folder / ANNOTATIONS
    if file.is_file():
        if json.loads(file.read_bytes()).get("info") != wanted:
            raise DataSetError(
                f"{folder} holds views of other settings; expected an empty folder. Remove it, or name another"
            )
        return
    (folder / "images").mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "info": wanted,
        "images": [],
        "annotations": [],
        "categories": [{"id": number + 1, "name": label} for number, label in enumerate(labels)],
    }
    for number, view in enumerate(photograph(settings, labels)):
        name = f"{number:05}.jpg"
        cv2.imwrite(str(folder / "images" / name), view.image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        height, width = view.image.shape[:2]
        place = dict(zip(("x", "y", "heading"), view.position, strict=True))
        content["images"].append({"id": number, "file_name": name, "width": width, "height": height, **place})
        content["annotations"] += _annotations(view.seen, number, len(content["annotations"]), settings.visible)
    # Last: a folder without it is one that was not finished.
    file.write_text(json.dumps(content), encoding="utf-8")


def photograph(settings: ViewSettings, labels: tuple[str, ...]) -> Iterator[View]:
    """Takes `settings.count` views that show something. Raises DataSetError, a WorldError or a RendererError."""
    scene = open_scene(settings.world, ROBOT, None, Quality(_SHADOWS, _ANTIALIASING))
    kind, failures = choose(settings.renderer)
    if kind == RAYS and settings.renderer != RAYS:
        raise RendererError(
            f"views cannot be drawn with OpenGL: {'; '.join(failures)}. "
            f"The renderer 'rays' needs none, but a detector learns little from its flat colors"
        )
    renderer = open_renderer(scene, kind)
    try:
        photographer = _Photographer(scene, renderer, settings, labels)
        for _ in range(settings.count):
            yield photographer.take()
    finally:
        renderer.close()


class _Photographer:
    def __init__(self, scene: Scene, renderer: Renderer, settings: ViewSettings, labels: tuple[str, ...]) -> None:
        self._scene, self._renderer, self._settings = scene, renderer, settings
        self._observer = Observer(scene, labels)
        self._rng = np.random.default_rng([settings.seed, int(settings.held_out)])
        silent = tuple((mounted.sensor.name, 0.0) for mounted in scene.sensors)
        self._simulation = Simulation(scene, Settings(seed=settings.seed, rates=silent))
        self._camera = _camera(scene)
        model = scene.model
        root = int(model.body_rootid[self._camera.body])
        joint = int(model.body_jntadr[root])
        if joint < 0 or model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
            raise DataSetError(f"the camera of '{settings.world}' is fixed in the world; expected one on a robot")
        self._address = int(model.jnt_qposadr[joint])
        self._is_own = model.body_rootid[model.geom_bodyid] == root
        self._home = self._simulation.data.qpos.copy()
        things = np.array([self._simulation.data.xpos[thing.body][:2] for thing in scene.things])
        if not len(things):
            raise DataSetError(f"'{settings.world}' has no labeled models; expected some to find")
        self._low, self._high = things.min(axis=0), things.max(axis=0)
        self._light = (model.light_diffuse.copy(), model.light_ambient.copy(), model.light_dir.copy())

    def take(self) -> View:
        """The next view that shows something."""
        for _ in range(_TRIES):
            position = self._put_down()
            if not self._settings.held_out:
                self._change_light()
            view = self._look(position)
            if len(view.seen.names):
                return view
        raise DataSetError(f"no view of '{self._settings.world}' shows a labeled model in {_TRIES} tries")

    def _put_down(self) -> tuple[float, float, float]:
        """Lets the walkers walk, then moves the robot to a random free place."""
        data, model, rng = self._simulation.data, self._scene.model, self._rng
        for _ in self._simulation.advance(round(float(rng.uniform(0.2, 1.2)), 1)):
            pass
        for _ in range(_TRIES):
            x, y = rng.uniform(self._low, self._high)
            heading = float(rng.uniform(-np.pi, np.pi))
            if is_held_out(x, y) != self._settings.held_out:
                continue
            data.qpos[:], data.qvel[:] = self._home, 0
            data.qpos[self._address : self._address + 2] = x, y
            data.qpos[self._address + 3 : self._address + 7] = np.cos(heading / 2), 0, 0, np.sin(heading / 2)
            mujoco.mj_forward(model, data)
            if not self._touches():
                return float(x), float(y), heading
        raise DataSetError(f"the robot fits nowhere in '{self._settings.world}': {_TRIES} places tried")

    def _touches(self) -> bool:
        data = self._simulation.data
        floor = self._home[self._address + 2] + _FLOOR
        return any(
            contact.pos[2] > floor and self._is_own[contact.geom1] != self._is_own[contact.geom2]
            for contact in (data.contact[index] for index in range(data.ncon))
        )

    def _change_light(self) -> None:
        model, rng = self._scene.model, self._rng
        diffuse, ambient, direction = self._light
        tint = rng.uniform(0.85, 1.15, 3)
        model.light_diffuse[:] = diffuse * tint * rng.uniform(0.4, 1.3, (len(diffuse), 1))
        model.light_ambient[:] = ambient * tint * rng.uniform(0.5, 1.3)
        turned = direction + rng.normal(0, 0.25, direction.shape)
        model.light_dir[:] = turned / np.linalg.norm(turned, axis=1, keepdims=True)
        mujoco.mj_forward(model, self._simulation.data)

    def _look(self, position: tuple[float, float, float]) -> View:
        spec, data = self._camera.sensor.spec, self._simulation.data
        assert isinstance(spec, CameraSpec), "_camera chooses cameras"
        pixels = self._renderer.render(data, self._camera.camera, spec.width, spec.height)
        things = self._renderer.segment(data, self._camera.camera, spec.width, spec.height, self._observer.numbers)
        optical = self._simulation.sensor_pose(self._camera)
        seen = self._observer.seen(data, things, spec, optical, min_pixels=_MIN_PIXELS, min_visibility=_MIN_VISIBLE)
        noise = spec.noise
        if not self._settings.held_out:
            pixels = _expose(pixels, self._rng)
            noise *= self._rng.uniform(0.5, 3.0)
        noisy = ImageNoise(noise, self._rng).add(pixels, self._rng)
        return View(np.asarray(cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR), np.uint8), seen, position)


def is_held_out(x: float, y: float) -> bool:
    """Whether a place, in meters, lies on a tile of the floor that is kept for held-out views."""
    return bool((np.floor(x) + 2 * np.floor(y)) % _TILES == 0)


def _expose(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another exposure and gamma, and sometimes a little blur."""
    levels = np.linspace(0, 1, 256) ** rng.uniform(0.75, 1.35) * rng.uniform(0.7, 1.25)
    exposed = cv2.LUT(pixels, np.clip(levels * 255, 0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        exposed = cv2.GaussianBlur(exposed, (0, 0), float(rng.uniform(0.4, 1.2)))
    return np.asarray(exposed, np.uint8)


def _camera(scene: Scene) -> MountedSensor:
    found = next((mounted for mounted in scene.sensors if isinstance(mounted.sensor.spec, CameraSpec)), None)
    if found is None:
        raise DataSetError("the world's robot has no camera; expected one")
    return found


def _annotations(seen: Seen, image: int, first: int, visible: float) -> list[dict[str, Any]]:
    boxes = seen.detections
    rows = zip(boxes.xyxy.tolist(), boxes.class_indices.tolist(), boxes.scores.tolist(), seen.names, strict=True)
    return [
        {
            "id": first + index + 1,
            "image_id": image,
            "category_id": label + 1,
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top),
            "iscrowd": int(share < visible),
            "thing": thing,
            "visible": round(share, 4),
            "distance": round(float(np.linalg.norm(seen.centers[index])), 3),
        }
        for index, ((left, top, right, bottom), label, share, thing) in enumerate(rows)
    ]
