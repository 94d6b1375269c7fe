"""SDF worlds into MuJoCo models (mujoco.readthedocs.io, "Model Editing")."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from robot_ai.geometry.transforms import Floats, RigidTransform
from robot_ai.simulation.appearance import Assets, brightness
from robot_ai.simulation.diff_drive import DriveSettings, drive_settings
from robot_ai.simulation.errors import ModelBuildError, UnsupportedJointError
from robot_ai.simulation.outlines import outline_of, part_triangles, primitive_triangles
from robot_ai.simulation.placing import WORLD_FRAME, PlacedJoint, PlacedLink, PlacedModel, place_world
from robot_ai.simulation.quality import Quality
from robot_ai.simulation.scene import COLLISION_GROUP, VISUAL_GROUP, MountedSensor, Scene, Thing, short
from robot_ai.simulation.sdf_types import CameraSpec, Geometry, ImuSpec, Light, Sensor, Shape, World

# The engine's distances of clipping and shadows are shares of this, in meters.
_EXTENT = 10.0
_JOINTS = {
    "revolute": mujoco.mjtJoint.mjJNT_HINGE,
    "continuous": mujoco.mjtJoint.mjJNT_HINGE,
    "prismatic": mujoco.mjtJoint.mjJNT_SLIDE,
    "ball": mujoco.mjtJoint.mjJNT_BALL,
}
_GEOMS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "plane": mujoco.mjtGeom.mjGEOM_PLANE,
}
# SDF's camera looks along x with z up; the engine's looks along -z with y up.
_TO_CAMERA = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
# Frictions of contact pairs: the engine takes that of the geom with the higher priority, else the larger. SDF's ODE
# takes the smaller, so what is more slippery has the higher priority.
_PRIORITIES = 1000
_MOTOR_TIME = 0.02
# Width of the tread that wheels roll on, in meters, and the rest of the wheel's share of its radius.
_TREAD = 0.002
_DRUM = 0.97
WALKER_PLUGINS = (
    "gz::sim::systems::TrajectoryFollower",
    "ignition::gazebo::systems::TrajectoryFollower",
)


def build(world: World, quality: Quality | None = None) -> Scene:
    """Compiles a world. Raises a WorldError that names file and element."""
    placed = place_world(world)
    builder = _Builder(world, quality or Quality())
    for model in placed:
        builder.add(model)
    return builder.compile(placed)


class _Builder:
    def __init__(self, world: World, quality: Quality) -> None:
        self._world = world
        self._spec = mujoco.MjSpec()
        self._assets = Assets(self._spec, quality.detail)
        self._sensors: list[tuple[Sensor, str, PlacedLink, RigidTransform]] = []
        self._thing_geoms: dict[str, int] = {}
        self._reflectance: dict[str, float] = {}
        self._shadows = world.shadows and quality.shadow_size > 0
        _set_options(self._spec, world, quality)
        self._set_clipping([s.spec for m in world.models for link in m.links for s in link.sensors])
        for light in world.lights:
            self._add_light(self._spec.worldbody, light, light.pose.transform, light.name)

    def add(self, model: PlacedModel) -> None:
        """Adds a model's links as a forest of bodies, joined as its joints say."""
        parents = _parents(model)
        made: dict[str, Any] = {}
        settings = drive_settings(model)
        driven = () if settings is None else (*settings.left_joints, *settings.right_joints)
        wheels = {joint.child for joint in model.joints if joint.joint.name in driven}
        walks = any(plugin.name in WALKER_PLUGINS for plugin in model.plugins)
        for link in _parents_first(model, parents):
            joint = parents.get(link.name)
            if joint is None or joint.parent == WORLD_FRAME:
                pose, home = model.pose @ link.pose, self._spec.worldbody
            else:
                parent = next(other for other in model.links if other.name == joint.parent)
                pose, home = parent.pose.inverse @ link.pose, made[joint.parent]
            body = home.add_body(name=f"{model.name}/{link.name}", pos=pose.translation, quat=_wxyz(pose.rotation))
            made[link.name] = body
            if joint is None and walks:
                body.mocap = True
            elif joint is None and not model.static:
                body.add_freejoint(name=f"{model.name}/{link.name}")
            elif joint is not None and joint.joint.kind != "fixed" and not model.static:
                _add_joint(body, model.name, link, joint)
            self._fill(body, model, link, link.name in wheels)
        if settings is not None:
            self._add_motors(model, settings)
        names = [body.name for body in made.values()]
        for index, first in enumerate(names):
            for second in names[index + 1 :]:
                self._spec.add_exclude(bodyname1=first, bodyname2=second)

    def _add_motors(self, model: PlacedModel, settings: DriveSettings) -> None:
        """Speed controllers of the wheels, that follow within 20 ms; stiffer ones push the body past its wheels."""
        joints = {joint.joint.name: joint.joint for joint in model.joints}
        mass = sum(link.link.inertial.mass for link in model.links)
        wheels = (*settings.left_joints, *settings.right_joints)
        gain = mass * settings.wheel_radius**2 / len(wheels) / _MOTOR_TIME
        for name in wheels:
            full = f"{model.name}/{name}"
            motor = self._spec.add_actuator(name=full, target=full, trntype=mujoco.mjtTrn.mjTRN_JOINT)
            motor.set_to_velocity(kv=gain)
            if math.isfinite(joints[name].effort):
                motor.forcelimited = True
                motor.forcerange = [-joints[name].effort, joints[name].effort]

    def compile(self, placed: Sequence[PlacedModel]) -> Scene:
        """Compiles. Raises ModelBuildError."""
        try:
            model = self._spec.compile()
        except ValueError as error:
            raise ModelBuildError(f"{self._world.file}: the physics engine refuses the world: {error}") from error
        bodies = {
            (each.name, link.name): model.body(f"{each.name}/{link.name}").id for each in placed for link in each.links
        }
        labelled = [each for each in placed if each.label is not None]
        things = tuple(self._thing(each, bodies) for each in labelled)
        order = {each.name: index for index, each in enumerate(labelled)}
        owner = {body: order[name] for (name, _), body in bodies.items() if name in order}
        things_of_geoms = np.array([owner.get(int(body), -1) for body in model.geom_bodyid], np.int32)
        names = [model.geom(index).name for index in range(model.ngeom)]
        reflectance = np.array([self._reflectance.get(name, 0.0) for name in names], np.float32)
        sensors = tuple(self._mount(model, bodies, entry) for entry in self._sensors)
        return Scene(self._world, model, tuple(placed), bodies, sensors, things, things_of_geoms, reflectance)

    def _fill(self, body: Any, model: PlacedModel, link: PlacedLink, wheel: bool) -> None:
        inertial = link.link.inertial
        frame = link.locate(inertial.pose)
        body.explicitinertial = True
        body.mass, body.ipos = inertial.mass, frame.translation
        xx, yy, zz, xy, xz, yz = inertial.inertia
        tensor = frame.rotation @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ frame.rotation.T
        body.fullinertia = tensor[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        stem = f"{model.name}/{link.name}"
        for shape in link.link.visuals:
            self._add_visual(body, shape, link.locate(shape.pose), f"{stem}/{shape.name}")
        for shape in link.link.collisions:
            for index, part in enumerate(_tread(shape) if wheel else (shape,)):
                self._add_collision(body, part, link.locate(shape.pose), f"{stem}/{shape.name}" + "'" * index)
        for light in link.link.lights:
            self._add_light(body, light, link.locate(light.pose), f"{stem}/{light.name}")
        for sensor in link.link.sensors:
            self._add_sensor(body, sensor, link.locate(sensor.pose), f"{stem}/{sensor.name}")
            self._sensors.append((sensor, model.name, link, link.locate(sensor.pose)))

    def _add_visual(self, body: Any, shape: Shape, pose: RigidTransform, name: str) -> None:
        common = {"group": VISUAL_GROUP, "contype": 0, "conaffinity": 0, "mass": 0.0}
        geometry = shape.geometry
        if geometry.kind == "mesh":
            meshes = self._assets.visual_meshes(geometry)
            for index, (mesh, part) in enumerate(zip(meshes, self._assets.parts(geometry), strict=True)):
                material = self._assets.material(shape.material, part, shape.transparency, geometry.where)
                body.add_geom(
                    name=f"visual:{name}/{index}", type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh, material=material,
                    pos=pose.translation, quat=_wxyz(pose.rotation), **common,
                )  # fmt: skip
                self._reflect(f"visual:{name}/{index}", shape, shape.material.diffuse if shape.material else part.color)
            return
        material = self._assets.material(shape.material, None, shape.transparency, geometry.where)
        body.add_geom(name=f"visual:{name}", material=material, **_primitive(geometry, pose), **common)
        self._reflect(f"visual:{name}", shape, shape.material.diffuse if shape.material else (0.7, 0.7, 0.7, 1.0))

    def _reflect(self, name: str, shape: Shape, color: tuple[float, float, float, float]) -> None:
        self._reflectance[name] = brightness(color) if shape.laser_retro is None else shape.laser_retro

    def _add_collision(self, body: Any, shape: Shape, pose: RigidTransform, name: str) -> None:
        common = {
            "name": f"collision:{name}",
            "group": COLLISION_GROUP,
            "mass": 0.0,
            "friction": [shape.friction, 0.005, 0.0001],
            "priority": max(0, round(_PRIORITIES * (1 - min(shape.friction, 1.0)))),
        }
        if shape.geometry.kind == "mesh":
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH, meshname=self._assets.hull_mesh(shape.geometry), pos=pose.translation,
                quat=_wxyz(pose.rotation), **common,
            )  # fmt: skip
        else:
            body.add_geom(**_primitive(shape.geometry, pose), **common)

    def _add_light(self, body: Any, light: Light, pose: RigidTransform, name: str) -> None:
        kinds = mujoco.mjtLightType
        bright = np.array(light.diffuse[:3]) * min(light.intensity, 1.0)
        constant, linear, quadratic = light.attenuation
        body.add_light(
            name=f"light:{name}",
            type={"directional": kinds.mjLIGHT_DIRECTIONAL, "spot": kinds.mjLIGHT_SPOT}.get(
                light.kind, kinds.mjLIGHT_POINT
            ),
            pos=pose.translation,
            dir=pose.rotation @ np.array(light.direction) / np.linalg.norm(light.direction),
            diffuse=bright,
            specular=np.array(light.specular[:3]) * min(light.intensity, 1.0),
            ambient=[0, 0, 0],
            attenuation=[max(constant, 1e-3), linear, quadratic],
            cutoff=math.degrees(light.cutoff),
            castshadow=light.cast_shadows and self._shadows,
            active=light.intensity > 0,
        )

    def _add_sensor(self, body: Any, sensor: Sensor, pose: RigidTransform, name: str) -> None:
        spec = sensor.spec
        if isinstance(spec, CameraSpec):
            focal = np.array(spec.focal)
            center = (np.array([spec.width, spec.height]) - 1) / 2
            body.add_camera(
                name=f"camera:{name}",
                pos=pose.translation,
                quat=_wxyz(pose.rotation @ _TO_CAMERA),
                resolution=[spec.width, spec.height],
                sensor_size=[1.0, spec.height / spec.width],
                focal_pixel=focal,
                # The engine says where the image's middle lies, seen from the principal point.
                principal_pixel=center - np.array(spec.center),
            )
        elif isinstance(spec, ImuSpec):
            site = f"imu:{name}"
            body.add_site(name=site, pos=pose.translation, quat=_wxyz(pose.rotation), group=5)
            for kind, measured in (
                ("gyro", mujoco.mjtSensor.mjSENS_GYRO),
                ("accelerometer", mujoco.mjtSensor.mjSENS_ACCELEROMETER),
                ("orientation", mujoco.mjtSensor.mjSENS_FRAMEQUAT),
            ):
                self._spec.add_sensor(
                    name=f"{kind}:{name}", type=measured, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=site
                )

    def _mount(
        self, model: Any, bodies: dict[tuple[str, str], int], entry: tuple[Sensor, str, PlacedLink, RigidTransform]
    ) -> MountedSensor:
        sensor, name, link, pose = entry
        stem = f"{name}/{link.name}/{sensor.name}"
        camera = model.camera(f"camera:{stem}").id if isinstance(sensor.spec, CameraSpec) else -1
        site = model.site(f"imu:{stem}").id if isinstance(sensor.spec, ImuSpec) else -1
        optical = sensor.spec.optical_frame if isinstance(sensor.spec, CameraSpec) else ""
        frame = optical or sensor.frame or short(link.name)
        return MountedSensor(sensor, name, link.name, bodies[name, link.name], pose, frame, camera, site)

    def _thing(self, model: PlacedModel, bodies: dict[tuple[str, str], int]) -> Thing:
        """The outline of all visuals as they stand at the start, in the frame of the model's first link."""
        base = model.links[0]
        triangles: list[Floats] = []
        for link in model.links:
            for shape in link.link.visuals:
                pose = base.pose.inverse @ link.pose @ link.locate(shape.pose)
                triangles += [pose.apply(corners).astype(float) for corners in self._triangles(shape.geometry)]
        assert model.label is not None, "only labelled models are things"
        outline = outline_of(triangles or [np.zeros((1, 3, 3))])
        return Thing(model.name, model.label, bodies[model.name, base.name], outline, base.pose)

    def _triangles(self, geometry: Geometry) -> list[Floats]:
        if geometry.kind != "mesh":
            return [primitive_triangles(geometry)]
        return [part_triangles(part) for part in self._assets.parts(geometry)]

    def _set_clipping(self, specs: Sequence[object]) -> None:
        cameras = [spec for spec in specs if isinstance(spec, CameraSpec)]
        self._spec.visual.map.znear = min((c.near for c in cameras), default=0.05) / _EXTENT
        self._spec.visual.map.zfar = max((c.far for c in cameras), default=100.0) / _EXTENT


def _set_options(spec: Any, world: World, quality: Quality) -> None:
    spec.option.timestep = world.time_step
    spec.option.gravity = world.gravity
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # Wheels creep sideways in slack contacts; these two keep them where they are.
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    spec.compiler.degree = False
    spec.compiler.balanceinertia = True
    spec.stat.extent = _EXTENT
    spec.stat.center = [0.0, 0.0, 0.0]
    spec.visual.quality.shadowsize = max(quality.shadow_size, 1)
    spec.visual.quality.offsamples = quality.antialiasing
    widest = [s.spec for m in world.models for link in m.links for s in link.sensors]
    cameras = [camera for camera in widest if isinstance(camera, CameraSpec)]
    spec.visual.global_.offwidth = max((camera.width for camera in cameras), default=640)
    spec.visual.global_.offheight = max((camera.height for camera in cameras), default=480)
    spec.visual.headlight.ambient = world.ambient[:3]
    spec.visual.headlight.diffuse = [0.0, 0.0, 0.0]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    sky = spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    sky.builtin = mujoco.mjtBuiltin.mjBUILTIN_FLAT
    sky.width = sky.height = 8
    sky.rgb1 = sky.rgb2 = world.background[:3]


def _tread(shape: Shape) -> tuple[Shape, ...]:
    """A driven wheel for contacts: a narrow disc that rolls, beside a full-width cylinder that misses the ground.

    A cylinder of full width rolls on either of its rims, as the caster's drag has it, and so on a track that is known
    only to a wheel's width: odometry would be off by a tenth in every turn, while a tire's round tread is not.
    """
    geometry = shape.geometry
    if geometry.kind != "cylinder":
        return (shape,)
    radius, length = geometry.size
    disc = dataclasses.replace(geometry, size=(radius, min(length, _TREAD)))
    drum = dataclasses.replace(geometry, size=(radius * _DRUM, length))
    return dataclasses.replace(shape, geometry=disc), dataclasses.replace(shape, geometry=drum)


def _parents(model: PlacedModel) -> dict[str, PlacedJoint]:
    """The joint above each link that has one. Raises UnsupportedJointError where that is no tree."""
    parents: dict[str, PlacedJoint] = {}
    for joint in model.joints:
        if joint.child in parents:
            raise UnsupportedJointError(
                f"{joint.joint.where}: the link '{joint.child}' already hangs on '{parents[joint.child].joint.name}'; "
                "closed chains are not simulated"
            )
        parents[joint.child] = joint
    for start, above in parents.items():
        seen, name = {start}, above.parent
        while name in parents:
            if name in seen:
                raise UnsupportedJointError(f"{parents[name].joint.where} closes a chain, which is not simulated")
            seen.add(name)
            name = parents[name].parent
    return parents


def _parents_first(model: PlacedModel, parents: dict[str, PlacedJoint]) -> list[PlacedLink]:
    def depth(name: str) -> int:
        joint = parents.get(name)
        return 0 if joint is None or joint.parent == WORLD_FRAME else 1 + depth(joint.parent)

    return sorted(model.links, key=lambda link: depth(link.name))


def _add_joint(body: Any, model: str, link: PlacedLink, joint: PlacedJoint) -> None:
    inside = link.pose.inverse
    made = body.add_joint(
        name=f"{model}/{joint.joint.name}",
        type=_JOINTS[joint.joint.kind],
        pos=inside.apply(joint.pose.translation[None])[0],
        axis=inside.rotation @ joint.axis,
        damping=joint.joint.damping,
        frictionloss=joint.joint.friction,
    )
    lower, upper = joint.joint.lower, joint.joint.upper
    if joint.joint.kind in ("revolute", "prismatic") and -1e15 < lower <= upper < 1e15:
        made.limited = True
        made.range = [lower, upper]


def _primitive(geometry: Geometry, pose: RigidTransform) -> dict[str, Any]:
    size, rotation = geometry.size, pose.rotation
    if geometry.kind == "box":
        sizes = [side / 2 for side in size]
    elif geometry.kind in ("cylinder", "capsule"):
        sizes = [size[0], size[1] / 2, 0.0]
    elif geometry.kind == "plane":
        sizes = [size[0] / 2, size[1] / 2, 1.0]
        rotation = rotation @ _turn_z_to(np.array(geometry.normal))
    else:
        sizes = [*size, 0.0, 0.0][:3]
    return {"type": _GEOMS[geometry.kind], "size": sizes, "pos": pose.translation, "quat": _wxyz(rotation)}


def _turn_z_to(normal: Floats) -> Floats:
    """A rotation (3, 3) that takes the z axis to a unit vector."""
    if normal[2] > 1 - 1e-9:
        return np.eye(3)
    side = np.cross([0.0, 0.0, 1.0], normal) if normal[2] > -1 + 1e-9 else np.array([1.0, 0.0, 0.0])
    x = side / np.linalg.norm(side)
    return np.column_stack([x, np.cross(normal, x), normal])


def _wxyz(rotation: Floats) -> Floats:
    x, y, z, w = RigidTransform(rotation, np.zeros(3)).quaternion
    return np.array([w, x, y, z])
