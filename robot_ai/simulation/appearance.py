"""Meshes, materials and textures of a world as assets of the physics engine, each made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot_ai.simulation.meshes import MeshPart, load_mesh, load_texture
from robot_ai.simulation.sdf_types import Color, Geometry, Material

_RGB = int(mujoco.mjtTextureRole.mjTEXROLE_RGB)
# A hull of more corners than this makes contacts slow and no better.
_HULL_VERTICES = 64
_PLAIN = Material((0.7, 0.7, 0.7, 1.0), 0.1, 0.0)


class Assets:
    """What geoms refer to by name."""

    def __init__(self, spec: Any) -> None:
        self._spec = spec
        self._parts: dict[tuple[Path, tuple[float, ...]], list[MeshPart]] = {}
        self._visuals: dict[tuple[Path, tuple[float, ...]], list[str]] = {}
        self._hulls: dict[tuple[Path, tuple[float, ...]], str] = {}
        self._materials: dict[tuple[Any, ...], str] = {}
        self._textures: dict[Any, str] = {}

    def parts(self, geometry: Geometry) -> list[MeshPart]:
        """The parts of a mesh, read once. Raises a WorldError."""
        key = _key(geometry)
        if key not in self._parts:
            self._parts[key] = load_mesh(key[0], key[1], geometry.where)
        return self._parts[key]

    def visual_meshes(self, geometry: Geometry) -> list[str]:
        """The names of the meshes that draw a geometry's parts, in their order."""
        key = _key(geometry)
        if key not in self._visuals:
            stem = f"{key[0].stem}#{len(self._visuals)}"
            parts = self.parts(geometry)
            self._visuals[key] = [self._add_visual(f"{stem}/{index}", part) for index, part in enumerate(parts)]
        return self._visuals[key]

    def hull_mesh(self, geometry: Geometry) -> str:
        """The name of one mesh of all parts, for contacts: the engine takes its convex hull."""
        key = _key(geometry)
        if key not in self._hulls:
            parts = self.parts(geometry)
            starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
            name = f"{key[0].stem}#hull{len(self._hulls)}"
            mesh = self._spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX)
            mesh.uservert = np.concatenate([part.vertices for part in parts]).ravel()
            faces = [part.faces + start for part, start in zip(parts, starts[:-1], strict=True)]
            mesh.userface = np.concatenate(faces).astype(np.int32).ravel()
            mesh.maxhullvert = _HULL_VERTICES
            self._hulls[key] = name
        return self._hulls[key]

    def material(self, material: Material | None, part: MeshPart | None, transparency: float, where: str) -> str:
        """The name of a material: the visual's own, else the mesh part's. Raises a WorldError."""
        if material is None and part is not None:
            look = Material(part.color, 0.1, 0.0)
            texture = part.texture
            key = (look, None if texture is None else id(texture), transparency)
            return self._material(key, look, texture, transparency)
        look = material or _PLAIN
        texture = None if look.texture is None else load_texture(look.texture, where)
        return self._material((look, look.texture, transparency), look, texture, transparency)

    def _material(
        self, key: tuple[Any, ...], look: Material, texture: NDArray[np.uint8] | None, transparency: float
    ) -> str:
        if key not in self._materials:
            name = f"material{len(self._materials)}"
            made = self._spec.add_material(name=name)
            red, green, blue, alpha = look.diffuse
            made.rgba = [red, green, blue, alpha * (1 - transparency)]
            made.specular, made.emission, made.shininess = look.specular, look.emission, 0.3
            if texture is not None:
                names = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
                names[_RGB] = self._texture(texture)
                made.textures = names
            self._materials[key] = name
        return self._materials[key]

    def _texture(self, image: NDArray[np.uint8]) -> str:
        key = id(image)
        if key not in self._textures:
            name = f"texture{len(self._textures)}"
            made = self._spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D)
            made.height, made.width, made.nchannel = image.shape
            made.data = np.ascontiguousarray(image).tobytes()
            self._textures[key] = name
        return self._textures[key]

    def _add_visual(self, name: str, part: MeshPart) -> str:
        # Only shown, never pushed: a shell has mass for any area, while a flat part has no volume.
        mesh = self._spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
        mesh.uservert = part.vertices.ravel()
        mesh.userface = part.faces.ravel()
        if part.uv is not None:
            # The engine's rows go down, as images' do; those of mesh files go up.
            mesh.usertexcoord = np.column_stack([part.uv[:, 0], 1 - part.uv[:, 1]]).ravel()
        return name


def brightness(color: Color) -> float:
    """How much of a lidar's light comes back, in 0-1: the luminance of BT.709."""
    return 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2]


def _key(geometry: Geometry) -> tuple[Path, tuple[float, ...]]:
    assert geometry.mesh is not None, "only meshes have a file"
    return geometry.mesh, geometry.size
