"""Worlds and models of SDF 1.9 (sdformat.org/spec, up to 1.11), with everything that they include."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from robot_ai.simulation.errors import SdfElementError, SdfValueError, UnsupportedElementError, UnsupportedJointError
from robot_ai.simulation.resources import model_file
from robot_ai.simulation.sdf_element import RawPose, SdfElement, read_sdf
from robot_ai.simulation.sdf_sensors import read_light, read_sensor
from robot_ai.simulation.sdf_shapes import read_collision, read_color, read_visual
from robot_ai.simulation.sdf_types import Frame, Inertial, Joint, Link, Model, Plugin, Sensor, World

_WORLD = frozenset(
    [
        "model",
        "include",
        "light",
        "frame",
        "gravity",
        "physics",
        "scene",
        "plugin",
        "gui",
        "audio",
        "wind",
        "atmosphere",
        "magnetic_field",
        "spherical_coordinates",
        "population",
        "road",
        "state",
        "actor",
        "joint",
    ]
)
_MODEL = frozenset(
    [
        "pose",
        "static",
        "self_collide",
        "allow_auto_disable",
        "enable_wind",
        "link",
        "joint",
        "frame",
        "model",
        "include",
        "plugin",
        "gripper",
    ]
)
_INCLUDE = frozenset(["uri", "name", "pose", "static", "plugin", "placement_frame"])
_LINK = frozenset(
    [
        "pose",
        "inertial",
        "visual",
        "collision",
        "sensor",
        "light",
        "gravity",
        "enable_wind",
        "self_collide",
        "kinematic",
        "must_be_base_link",
        "velocity_decay",
        "projector",
        "audio_source",
        "audio_sink",
        "battery",
        "particle_emitter",
        "plugin",
    ]
)
_JOINT = frozenset(
    [
        "parent",
        "child",
        "pose",
        "axis",
        "axis2",
        "physics",
        "sensor",
        "gearbox_ratio",
        "thread_pitch",
        "screw_thread_pitch",
    ]
)
_INERTIAL = frozenset(["mass", "pose", "inertia", "density", "fluid_added_mass"])
JOINTS = ("fixed", "revolute", "continuous", "prismatic", "ball")
LABEL_PLUGINS = ("gz::sim::systems::Label", "ignition::gazebo::systems::Label")
_GREY = (0.4, 0.4, 0.4, 1.0)
_DEEPEST = 16


class SdfReader:
    """Reads one file with its includes. `notes` tells what good SDF was read over because it is not simulated."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def world(self, file: Path) -> World:
        """The first world of a file. Raises a WorldError that names file and element."""
        root = read_sdf(file)
        element = root.child("world")
        if element is None:
            raise SdfElementError(f"{root.where} holds no <world>; expected a world, not a model alone")
        element.check(_WORLD)
        for tag in ("actor", "joint", "population", "road"):
            if (found := element.child(tag)) is not None:
                raise UnsupportedElementError(
                    f"{found.where} is not simulated; people walk as models with the plugin "
                    "gz::sim::systems::TrajectoryFollower"
                )
        physics, scene = element.child("physics"), element.child("scene")
        step = 0.001 if physics is None else physics.number("max_step_size", 0.001)
        if not 1e-5 <= step <= 0.02:
            raise SdfValueError(f"{element.where}/physics/max_step_size is {step:g}; expected 0.00001 to 0.02 s")
        gravity = element.numbers("gravity", 3, (0.0, 0.0, -9.8))
        models = self._models(element)
        return World(
            element.attribute("name"),
            file,
            (gravity[0], gravity[1], gravity[2]),
            step,
            _GREY if scene is None else read_color(scene, "ambient", _GREY),
            (0.7, 0.7, 0.7, 1.0) if scene is None else read_color(scene, "background", (0.7, 0.7, 0.7, 1.0)),
            True if scene is None else scene.flag("shadows", True),
            models,
            tuple(read_light(light) for light in element.children("light")),
            tuple(_read_frame(frame) for frame in element.children("frame")),
            tuple(self.notes),
        )

    def model(self, file: Path, name: str = "", pose: RawPose | None = None) -> Model:
        """The model of a file, perhaps under another name and at another pose. Raises a WorldError."""
        model = self._file_model(file, 0)
        return dataclasses.replace(model, name=name or model.name, pose=pose or model.pose)

    def _file_model(self, file: Path, depth: int) -> Model:
        root = read_sdf(file)
        element = root.child("model")
        if element is None:
            raise SdfElementError(f"{root.where} holds no <model>")
        return self._model(element, depth)

    def _models(self, element: SdfElement, depth: int = 0) -> tuple[Model, ...]:
        if depth > _DEEPEST:
            raise SdfElementError(f"{element.where} is the {depth}th model within others: does a model include itself?")
        models = [self._model(child, depth) for child in element.children("model")]
        models += [self._include(child, depth) for child in element.children("include")]
        names = [model.name for model in models]
        for name in names:
            if names.count(name) > 1:
                raise SdfElementError(
                    f"{element.where} holds {names.count(name)} models named '{name}'; name them apart"
                )
        return tuple(models)

    def _include(self, element: SdfElement, depth: int) -> Model:
        element.check(_INCLUDE)
        if element.attribute("merge", "false").lower() in ("true", "1"):
            raise UnsupportedElementError(f"{element.where} merges a model into another, which is not simulated")
        uri = element.text("uri")
        model = self._file_model(model_file(uri, element.file, f"{element.where}/uri"), depth + 1)
        plugins = (*model.plugins, *_read_plugins(element))
        return dataclasses.replace(
            model,
            name=element.text("name", model.name),
            pose=model.pose if element.child("pose") is None else element.pose(),
            static=element.flag("static", model.static),
            plugins=plugins,
            placement_frame=element.text("placement_frame", model.placement_frame),
            label=model.label if (label := _label(plugins, element)) is None else label,
        )

    def _model(self, element: SdfElement, depth: int) -> Model:
        element.check(_MODEL)
        plugins = _read_plugins(element)
        links = tuple(self._link(link) for link in element.children("link"))
        models = self._models(element, depth + 1)
        if not links and not models:
            raise SdfElementError(f"{element.where} has neither a <link> nor a nested <model>")
        _refuse_twins(element)
        return Model(
            element.attribute("name"),
            element.pose(),
            element.flag("static", False),
            links,
            tuple(_read_joint(joint) for joint in element.children("joint")),
            tuple(_read_frame(frame) for frame in element.children("frame")),
            models,
            plugins,
            element.attribute("placement_frame", ""),
            _label(plugins, element),
            element.where,
        )

    def _link(self, element: SdfElement) -> Link:
        element.check(_LINK)
        sensors = []
        for child in element.children("sensor"):
            sensor = read_sensor(child)
            if isinstance(sensor, Sensor):
                sensors.append(sensor)
            else:
                self.notes.append(sensor)
        return Link(
            element.attribute("name"),
            element.pose(),
            _read_inertial(element.child("inertial")),
            tuple(read_visual(visual) for visual in element.children("visual")),
            tuple(read_collision(collision) for collision in element.children("collision")),
            tuple(sensors),
            tuple(read_light(light) for light in element.children("light")),
            element.where,
        )


def _refuse_twins(element: SdfElement) -> None:
    """Raises SdfElementError when two links, joints or frames share a name: SDF's names are unique among them."""
    seen: set[str] = set()
    for tag in ("link", "joint", "frame", "model"):
        for child in element.children(tag):
            name = child.attribute("name")
            if name in seen:
                raise SdfElementError(f"{child.where} has the name of another element of its model")
            seen.add(name)


def _read_frame(element: SdfElement) -> Frame:
    return Frame(element.attribute("name"), element.pose(), element.attribute("attached_to", ""))


def _read_plugins(element: SdfElement) -> tuple[Plugin, ...]:
    return tuple(Plugin(plugin.attribute("name"), plugin) for plugin in element.children("plugin"))


def _label(plugins: tuple[Plugin, ...], element: SdfElement) -> int | None:
    """The label of a model, by its plugin or by that of its first visual. Raises a WorldError."""
    own = [plugin.element.count("label") for plugin in plugins if plugin.name in LABEL_PLUGINS]
    if own:
        return own[-1]
    for link in element.children("link"):
        for visual in link.children("visual"):
            for plugin in _read_plugins(visual):
                if plugin.name in LABEL_PLUGINS:
                    return plugin.element.count("label")
    return None


def _read_inertial(element: SdfElement | None) -> Inertial:
    """SDF's defaults are 1 kg and 1 kg m². Raises a WorldError."""
    if element is None:
        return Inertial(RawPose.identity(), 1.0, (1.0, 1.0, 1.0, 0.0, 0.0, 0.0))
    element.check(_INERTIAL)
    mass = element.number("mass", 1.0)
    inertia = element.child("inertia")
    xx, yy, zz = (1.0 if inertia is None else inertia.number(tag, 1.0) for tag in ("ixx", "iyy", "izz"))
    xy, xz, yz = (0.0 if inertia is None else inertia.number(tag, 0.0) for tag in ("ixy", "ixz", "iyz"))
    if not (0 < mass < math.inf and min(xx, yy, zz) > 0):
        raise SdfValueError(f"{element.where}: mass {mass:g} and inertia {xx:g} {yy:g} {zz:g}; expected more than 0")
    return Inertial(element.pose(), mass, (xx, yy, zz, xy, xz, yz))


def _read_joint(element: SdfElement) -> Joint:
    element.check(_JOINT)
    kind = element.attribute("type")
    if kind not in JOINTS:
        raise UnsupportedJointError(f"{element.where} is of type '{kind}'; simulated joints are {', '.join(JOINTS)}")
    axis = element.child("axis")
    if axis is None and kind in ("revolute", "continuous", "prismatic"):
        raise SdfElementError(f"{element.where} has no <axis>")
    limit, dynamics = (None if axis is None else axis.child(tag) for tag in ("limit", "dynamics"))
    x, y, z = (0.0, 0.0, 1.0) if axis is None else axis.numbers("xyz", 3, (0.0, 0.0, 1.0))
    if not 0 < math.hypot(x, y, z) < math.inf:
        raise SdfValueError(f"{element.where}/axis/xyz has no length")
    direction = None if axis is None else axis.child("xyz")

    def limited(tag: str, default: float) -> float:
        return default if limit is None else limit.number(tag, default)

    effort = limited("effort", math.inf)
    return Joint(
        element.attribute("name"),
        kind,
        element.text("parent"),
        element.text("child"),
        element.pose(),
        (x, y, z),
        "" if direction is None else direction.attribute("expressed_in", ""),
        limited("lower", -math.inf),
        limited("upper", math.inf),
        math.inf if effort < 0 else effort,
        0.0 if dynamics is None else dynamics.number("damping", 0.0),
        0.0 if dynamics is None else dynamics.number("friction", 0.0),
        element.where,
    )
