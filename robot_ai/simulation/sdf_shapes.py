"""Visuals, collisions, materials and geometries of SDF."""

from __future__ import annotations

import math

from robot_ai.simulation.errors import SdfElementError, SdfValueError, UnsupportedElementError
from robot_ai.simulation.resources import find_resource
from robot_ai.simulation.sdf_element import SdfElement
from robot_ai.simulation.sdf_types import Color, Geometry, Material, Shape

_VISUAL = frozenset(
    [
        "pose",
        "geometry",
        "material",
        "transparency",
        "cast_shadows",
        "laser_retro",
        "plugin",
        "meta",
        "visibility_flags",
        "visibility_mask",
    ]
)
_COLLISION = frozenset(["pose", "geometry", "surface", "laser_retro", "max_contacts", "density", "auto_inertia_params"])
_MATERIAL = frozenset(
    [
        "ambient",
        "diffuse",
        "specular",
        "emissive",
        "shininess",
        "script",
        "shader",
        "lighting",
        "double_sided",
        "pbr",
        "render_order",
    ]
)
_NOT_SIMULATED = ("heightmap", "image", "polyline", "empty")
_KINDS = {"box": "size", "sphere": "radius", "cylinder": "", "capsule": "", "ellipsoid": "radii", "plane": "",
          "mesh": ""}  # fmt: skip
_GEOMETRY = frozenset((*_KINDS, *_NOT_SIMULATED, "cone"))
_WHITE = (0.7, 0.7, 0.7, 1.0)


def read_visual(element: SdfElement) -> Shape:
    """A <visual>. Raises a WorldError."""
    element.check(_VISUAL)
    material = element.child("material")
    retro = element.child("laser_retro")
    return Shape(
        element.attribute("name"),
        element.pose(),
        _read_geometry(element.need("geometry")),
        None if material is None else _read_material(material),
        laser_retro=None if retro is None else retro.vector(1)[0],
        transparency=element.number("transparency", 0.0),
        cast_shadows=element.flag("cast_shadows", True),
    )


def read_collision(element: SdfElement) -> Shape:
    """A <collision>. Raises a WorldError."""
    element.check(_COLLISION)
    return Shape(
        element.attribute("name"),
        element.pose(),
        _read_geometry(element.need("geometry")),
        friction=_read_friction(element.child("surface")),
    )


def read_color(element: SdfElement, tag: str, default: Color) -> Color:
    """A child color, RGB or RGBA in 0-1. Raises SdfValueError."""
    found = element.child(tag)
    if found is None:
        return default
    values = [*found.vector(3, 4), 1.0][:4]
    if not all(0 <= value <= 1 for value in values):
        raise SdfValueError(f"{found.where} is '{found.content}'; expected red green blue [alpha], each 0 to 1")
    return values[0], values[1], values[2], values[3]


def _read_friction(surface: SdfElement | None) -> float:
    """ODE's mu, the smaller of the two directions. Raises SdfValueError."""
    ode = surface
    for tag in ("friction", "ode"):
        ode = None if ode is None else ode.child(tag)
    if ode is None:
        return 1.0
    value = min(ode.number("mu", 1.0), ode.number("mu2", math.inf))
    if value < 0:
        raise SdfValueError(f"{ode.where}/mu is {value:g}; expected 0 or more")
    return value


def _read_geometry(element: SdfElement) -> Geometry:
    element.check(_GEOMETRY)
    for kind in _KINDS:
        found = element.child(kind)
        if found is not None:
            return _READERS[kind](found)
    for kind in _NOT_SIMULATED:
        if element.child(kind) is not None:
            raise UnsupportedElementError(
                f"{element.where}/{kind} is not simulated; expected one of {', '.join(sorted(_KINDS))}"
            )
    raise SdfElementError(f"{element.where} holds no shape; expected one of {', '.join(sorted(_KINDS))}")


def _lengths(element: SdfElement, tag: str, count: int) -> tuple[float, ...]:
    values = element.numbers(tag, count)
    if not all(0 < value < math.inf for value in values):
        raise SdfValueError(f"{element.where}/{tag} is {values}; expected lengths greater than 0")
    return values


def _read_box(element: SdfElement) -> Geometry:
    element.check({"size"})
    return Geometry("box", _lengths(element, "size", 3), element.where)


def _read_sphere(element: SdfElement) -> Geometry:
    element.check({"radius"})
    return Geometry("sphere", _lengths(element, "radius", 1), element.where)


def _read_round(element: SdfElement) -> Geometry:
    element.check({"radius", "length"})
    size = (*_lengths(element, "radius", 1), *_lengths(element, "length", 1))
    return Geometry(element.tag, size, element.where)


def _read_ellipsoid(element: SdfElement) -> Geometry:
    element.check({"radii"})
    return Geometry("ellipsoid", _lengths(element, "radii", 3), element.where)


def _read_plane(element: SdfElement) -> Geometry:
    element.check({"normal", "size"})
    x, y, z = element.numbers("normal", 3, (0.0, 0.0, 1.0))
    length = math.hypot(x, y, z)
    if not 0 < length < math.inf:
        raise SdfValueError(f"{element.where}/normal has no length")
    size = (100.0, 100.0) if element.child("size") is None else _lengths(element, "size", 2)
    return Geometry("plane", size, element.where, (x / length, y / length, z / length))


def _read_mesh(element: SdfElement) -> Geometry:
    element.check({"uri", "scale", "submesh", "convex_decomposition"})
    if element.child("submesh") is not None:
        raise UnsupportedElementError(f"{element.where}/submesh is not simulated; give the part a file of its own")
    uri = element.text("uri")
    file = find_resource(uri, element.file, f"{element.where}/uri")
    if not file.is_file():
        raise SdfValueError(f"{element.where}/uri: {file} is no file")
    return Geometry("mesh", element.numbers("scale", 3, (1.0, 1.0, 1.0)), element.where, mesh=file)


_READERS = {
    "box": _read_box,
    "sphere": _read_sphere,
    "cylinder": _read_round,
    "capsule": _read_round,
    "ellipsoid": _read_ellipsoid,
    "plane": _read_plane,
    "mesh": _read_mesh,
}


def _read_material(element: SdfElement) -> Material:
    element.check(_MATERIAL)
    metal = element.child("pbr")
    metal = None if metal is None else metal.child("metal")
    albedo = None if metal is None else metal.child("albedo_map")
    specular = read_color(element, "specular", (0.1, 0.1, 0.1, 1.0))
    emission = read_color(element, "emissive", (0.0, 0.0, 0.0, 1.0))
    return Material(
        read_color(element, "diffuse", read_color(element, "ambient", _WHITE)),
        specular=sum(specular[:3]) / 3,
        emission=sum(emission[:3]) / 3,
        texture=None if albedo is None else find_resource(albedo.content, element.file, albedo.where),
    )
