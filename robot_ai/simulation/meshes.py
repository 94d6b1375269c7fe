"""Mesh files, split by material into parts that the physics engine takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.errors import pip_install
from robot_ai.simulation.errors import MeshError, SimulatorMissingError
from robot_ai.simulation.sdf_types import Color
from robot_ai.simulation.simplify import merge_near_vertices

FORMATS = (".obj", ".stl", ".ply", ".glb", ".gltf")
# Triangles whose area is less than this, in square meters, show nothing and have no normal.
_LEAST_AREA = 1e-10
# Textures are shrunk to this many pixels at their longer side: a camera of 640 pixels sees no more.
_LARGEST_TEXTURE = 512


@dataclass(frozen=True)
class MeshPart:
    """Triangles of one material, in meters.

    vertices: (N, 3) float32. faces: (M, 3) int32. uv: (N, 2) float32 with v up, or None. color: RGBA in 0-1.
    texture: (H, W, 3) uint8 RGB, or None.
    """

    name: str
    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32] | None
    color: Color
    texture: NDArray[np.uint8] | None


def load_mesh(file: Path, scale: tuple[float, ...], where: str, detail: float = 0.0) -> list[MeshPart]:
    """The parts of a mesh file, details smaller than `detail` meters left out. `where` names the element that asks.

    Raises MeshError when the file cannot be read, or holds a part without area.
    """
    if file.suffix.lower() not in FORMATS:
        raise MeshError(f"{where}: {file} is of a kind that is not read; expected one of {', '.join(FORMATS)}")
    parts = [_part(name, mesh, scale, f"{where}: {file}", detail) for name, mesh in _geometries(file, where)]
    if not parts:
        raise MeshError(f"{where}: {file} holds no triangles")
    return parts


def _geometries(file: Path, where: str) -> list[tuple[str, Any]]:
    try:
        import trimesh
    except ImportError as error:
        raise SimulatorMissingError(
            f"{where}: meshes are read with trimesh, which is not installed: {pip_install('simulation')}"
        ) from error
    try:
        scene = trimesh.load(file, force="scene", process=False, group_material=True, skip_materials=False)
        placed = scene.dump() if hasattr(scene, "dump") else [scene]
    # trimesh's readers raise whatever they stumble over.
    except Exception as error:
        raise MeshError(f"{where}: {file} cannot be read: {type(error).__name__}: {error}") from error
    meshes = [mesh for mesh in placed if isinstance(mesh, trimesh.Trimesh)]
    return [(_name(mesh, index), mesh) for index, mesh in enumerate(meshes)]


def _name(mesh: Any, index: int) -> str:
    material = getattr(mesh.visual, "material", None)
    return str(getattr(material, "name", None) or mesh.metadata.get("name") or f"part {index}")


def _part(name: str, mesh: Any, scale: tuple[float, ...], where: str, detail: float) -> MeshPart:
    vertices = np.asarray(mesh.vertices, np.float64) * np.array(scale)
    faces = np.asarray(mesh.faces, np.int32)
    if not np.isfinite(vertices).all():
        raise MeshError(f"{where}: part '{name}' has vertices that are not finite")
    corners = vertices[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    faces = faces[areas > _LEAST_AREA]
    if not len(faces):
        raise MeshError(
            f"{where}: part '{name}' has no area ({areas.sum():.2g} m² in {len(areas)} triangles): remove it from the "
            "file, or mend the scale"
        )
    if np.prod(scale) < 0:
        faces = faces[:, ::-1]
    uv = getattr(mesh.visual, "uv", None)
    color, texture = _look(getattr(mesh.visual, "material", None))
    usable = uv is not None and len(uv) == len(vertices) and texture is not None
    coordinates = np.asarray(uv, np.float32) if usable else None
    merged = merge_near_vertices(vertices, faces, coordinates, detail)
    # What is smaller than the detail itself stays as it is.
    vertices, faces, coordinates = merged if len(merged[1]) else (vertices, faces, coordinates)
    return MeshPart(
        name,
        vertices.astype(np.float32),
        faces,
        coordinates,
        color,
        texture if usable else None,
    )


def _look(material: Any) -> tuple[Color, NDArray[np.uint8] | None]:
    """Color and texture of a trimesh material; grey when there is none."""
    if material is None:
        return (0.7, 0.7, 0.7, 1.0), None
    rgba = np.asarray(material.main_color, float) / 255
    image = getattr(material, "image", None) or getattr(material, "baseColorTexture", None)
    color = (float(rgba[0]), float(rgba[1]), float(rgba[2]), float(rgba[3]))
    return color, None if image is None else shrink(np.asarray(image.convert("RGB"), np.uint8))


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image of at most 512 pixels at its longer side."""
    height, width = image.shape[:2]
    factor = _LARGEST_TEXTURE / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def load_texture(file: Path, where: str) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB. Raises MeshError."""
    try:
        encoded = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise MeshError(f"{where}: {file} cannot be read: {error.strerror}") from error
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
    if image is None:
        raise MeshError(f"{where}: {file} is no image")
    return shrink(np.asarray(image[:, :, ::-1], np.uint8))
