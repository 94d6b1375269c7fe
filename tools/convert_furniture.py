"""Converts the furniture of Debian's sweethome3d-furniture to the models in worlds/models.

    apt-get download sweethome3d-furniture && dpkg -x sweethome3d-furniture_*.deb furniture
    python tools/convert_furniture.py furniture/usr/share/sweethome3d/furniture worlds/models

Needs the extra `simulation` (Pillow). tools/furniture.yaml says which pieces. Each .sh3f is a zip of OBJ files with
their materials and textures, and a catalog with each piece's size and creator. A piece is turned (x right, y up, z to
the viewer become z forward, x left, y up: the front looks along +x), stretched to the catalog's size, put on the floor
with its middle at the origin, and written in meters, its faces grouped by material. No face is taken away but those
without area. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from robot_ai.models.card import ModelCard
from robot_ai.share import share_file

TABLE = Path(__file__).with_name("furniture.yaml")
LICENSES = {
    "KatorLegaz": ("CC-BY-3.0-US", "https://creativecommons.org/licenses/by/3.0/us/"),
    "Reallusion": ("CC-BY-3.0-US", "https://creativecommons.org/licenses/by/3.0/us/"),
    "Scopia": ("CC-BY-3.0", "https://creativecommons.org/licenses/by/3.0/"),
    "BlendSwap-CC-BY": ("CC-BY-3.0", "https://creativecommons.org/licenses/by/3.0/"),
    "BlendSwap-CC-0": ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
}
LARGEST_TEXTURE = 512
# Sweet Home 3D's x (left of the piece), y (up), z (front) as columns of ours: x front, y left, z up.
TO_SDF = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

Array = NDArray[np.float64]


@dataclass
class Mesh:
    """Triangles by material. A corner is (vertex, texture, normal), counted from 0; -1 where there is none."""

    vertices: Array
    textures: Array
    normals: Array
    faces: dict[str, list[list[tuple[int, int, int]]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """One entry of a catalog."""

    model: str
    size: Array  # width (x), height (y), depth (z) of Sweet Home 3D, in meters
    rotation: Array
    creator: str
    title: str


def read_catalog(archive: zipfile.ZipFile) -> dict[str, Piece]:
    """The pieces of an .sh3f file by the name of their OBJ file."""
    text = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
    entries: dict[str, dict[str, str]] = {}
    for key, number, value in re.findall(r"^(\w+)#(\d+)\s*=\s*(.*?)\s*$", text, re.MULTILINE):
        entries.setdefault(number, {})[key] = value
    pieces = {}
    for entry in entries.values():
        rotation = np.fromstring(entry.get("modelRotation", "1 0 0 0 1 0 0 0 1"), sep=" ").reshape(3, 3)
        size = np.array([float(entry[key]) / 100 for key in ("width", "height", "depth")])
        model = entry["model"].lstrip("/")
        pieces[PurePosixPath(model).stem] = Piece(model, size, rotation, entry["creator"], entry["name"])
    return pieces


def read_obj(text: str) -> Mesh:
    """Reads vertices, texture coordinates, normals and faces; polygons become fans of triangles."""
    values: dict[str, list[list[float]]] = {"v": [], "vt": [], "vn": []}
    faces: dict[str, list[list[tuple[int, int, int]]]] = {}
    material = ""
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word in values:
            values[word].append([float(number) for number in rest.split()[: 2 if word == "vt" else 3]])
        elif word == "usemtl":
            material = rest.strip()
        elif word == "f":
            counts = len(values["v"]), len(values["vt"]), len(values["vn"])
            corners = [_corner(part, counts) for part in rest.split()]
            fan = faces.setdefault(material, [])
            fan.extend([corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1))
    return Mesh(
        np.array(values["v"], float).reshape(-1, 3),
        np.array(values["vt"], float).reshape(-1, 2),
        np.array(values["vn"], float).reshape(-1, 3),
        faces,
    )


def _corner(text: str, counts: tuple[int, int, int]) -> tuple[int, int, int]:
    """An OBJ index counts from 1, or backwards from the last value read so far."""
    numbers = [int(part) if part else 0 for part in [*text.split("/"), "", ""][:3]]
    fixed = [n - 1 if n > 0 else count + n if n < 0 else -1 for n, count in zip(numbers, counts, strict=True)]
    return fixed[0], fixed[1], fixed[2]


def place(mesh: Mesh, piece: Piece, turn: float, height: float | None) -> Mesh:
    """Turns, stretches to the catalog's size, and puts the middle of the ground plan at the origin, on the floor.

    turn: degrees about z. height: meters, to which the whole is scaled.
    """
    used = sorted({corner[0] for triangles in mesh.faces.values() for triangle in triangles for corner in triangle})
    vertices = mesh.vertices @ piece.rotation.T
    normals = mesh.normals @ piece.rotation.T
    low, high = vertices[used].min(axis=0), vertices[used].max(axis=0)
    size = piece.size if height is None else piece.size * (height / piece.size[1])
    scale = size / np.where(high > low, high - low, 1.0)
    middle = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    about_z = np.radians(turn)
    turned = np.array([[np.cos(about_z), -np.sin(about_z), 0], [np.sin(about_z), np.cos(about_z), 0], [0, 0, 1]])
    rotation = turned @ TO_SDF
    vertices = ((vertices - middle) * scale) @ rotation.T
    normals = (normals / scale) @ rotation.T
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(vertices, mesh.textures, normals / np.where(lengths > 0, lengths, 1.0), mesh.faces)


def write_obj(mesh: Mesh, name: str, header: str) -> str:
    """The OBJ file: equal values once, faces without area left out, one group per material."""
    vertices, vertex_of = _unique(mesh.vertices, 4)
    textures, texture_of = _unique(mesh.textures, 3)
    normals, normal_of = _unique(mesh.normals, 2)
    lines = [f"# {line}" for line in header.splitlines()] + [f"mtllib {name}.mtl"]
    for word, values, digits in (("v", vertices, 4), ("vt", textures, 3), ("vn", normals, 2)):
        lines += [" ".join([word, *(_number(value, digits) for value in row)]) for row in values]
    for material, triangles in mesh.faces.items():
        lines += [f"g {_safe(material)}", f"usemtl {_safe(material)}"]
        for triangle in triangles:
            corners = [vertex_of[corner[0]] for corner in triangle]
            a, b, c = (vertices[corner] for corner in corners)
            if np.linalg.norm(np.cross(b - a, c - a)) > 1e-9:  # m²: twice the area
                parts = [_index(corner, vertex_of, texture_of, normal_of) for corner in triangle]
                lines.append(" ".join(["f", *parts]))
    return "\n".join(lines) + "\n"


def _unique(values: Array, digits: int) -> tuple[Array, NDArray[np.intp]]:
    if not len(values):
        return values, np.zeros(0, np.intp)
    rounded, index = np.unique(np.round(values, digits) + 0.0, axis=0, return_inverse=True)
    return rounded, index.reshape(-1)


def _index(
    corner: tuple[int, int, int],
    vertex_of: NDArray[np.intp],
    texture_of: NDArray[np.intp],
    normal_of: NDArray[np.intp],
) -> str:
    vertex = str(vertex_of[corner[0]] + 1)
    texture = str(texture_of[corner[1]] + 1) if corner[1] >= 0 else ""
    normal = str(normal_of[corner[2]] + 1) if corner[2] >= 0 else ""
    return "/".join([vertex, texture, normal]).rstrip("/")


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _safe(material: str) -> str:
    return re.sub(r"\W+", "_", material) or "plain"


class Materials:
    """The materials of an OBJ file: those that faces use, with their textures."""

    def __init__(self, archive: zipfile.ZipFile, obj: str, text: str) -> None:
        self._archive = archive
        self._folder = PurePosixPath(obj).parent
        self._lines: dict[str, list[str]] = {}
        for library in re.findall(r"^mtllib\s+(.+?)\s*$", text, re.MULTILINE):
            current: list[str] = []
            for line in archive.read(str(self._folder / library)).decode("latin-1").splitlines():
                word, _, rest = line.strip().partition(" ")
                if word == "newmtl":
                    current = self._lines.setdefault(rest.strip(), [])
                elif word and not word.startswith("#"):
                    current.append(line.strip())

    def write(self, used: list[str], header: str) -> tuple[str, dict[str, bytes]]:
        """The MTL file and its textures by file name."""
        lines = [f"# {line}" for line in header.splitlines()]
        textures: dict[str, bytes] = {}
        for material in used:
            if material not in self._lines:
                raise SystemExit(f"{self._folder}: faces use the material {material!r}, which its MTL files don't have")
            lines += ["", f"newmtl {_safe(material)}"]
            for line in self._lines[material]:
                word, _, rest = line.partition(" ")
                if word == "map_Kd":
                    source = rest.split()[-1]
                    data = self._texture(source)
                    file = re.sub(r"[^\w.]+", "_", PurePosixPath(source).name)
                    textures[file] = data
                    lines.append(f"map_Kd {file}")
                elif word in ("Ka", "Kd", "Ks", "Ns", "d", "illum"):
                    lines.append(" ".join(line.split()))
        return "\n".join(lines) + "\n", textures

    def _texture(self, source: str) -> bytes:
        data = self._archive.read(str(self._folder / source))
        image = Image.open(io.BytesIO(data))
        if max(image.size) <= LARGEST_TEXTURE:
            return data
        form = image.format
        image.thumbnail((LARGEST_TEXTURE, LARGEST_TEXTURE), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        options: dict[str, Any] = {"quality": 88} if form == "JPEG" else {"optimize": True}
        image.save(out, form, **options)
        return out.getvalue()


def collision(kind: str, size: Array) -> str:
    """A primitive around a model of this size (x, y, z in meters) that stands on the origin."""
    x, y, z = size
    shapes = {
        "box": f"<box><size>{x:.3f} {y:.3f} {z:.3f}</size></box>",
        "cylinder": f"<cylinder><radius>{(x + y) / 4:.3f}</radius><length>{z:.3f}</length></cylinder>",
        "sphere": f"<sphere><radius>{z / 2:.3f}</radius></sphere>",
    }
    if kind == "none":
        return ""
    return f"""
      <collision name="collision">
        <pose>0 0 {z / 2:.3f} 0 0 0</pose>
        <geometry>{shapes[kind]}</geometry>
      </collision>"""


def model_sdf(name: str, kind: str, size: Array, label: int | None) -> str:
    """The model's SDF: static, its mesh, a primitive to bump into, and its class for Gazebo's label system."""
    plugin = (
        ""
        if label is None
        else f"""
    <plugin filename="gz-sim-label-system" name="gz::sim::systems::Label">
      <label>{label}</label>
    </plugin>"""
    )
    return f"""<?xml version="1.0"?>
<!-- Written by tools/convert_furniture.py. -->
<sdf version="1.9">
  <model name="{name}">
    <static>true</static>
    <link name="link">
      <visual name="visual">
        <geometry><mesh><uri>model://{name}/meshes/{name}.obj</uri></mesh></geometry>
      </visual>{collision(kind, size)}
    </link>{plugin}
  </model>
</sdf>
"""


def model_config(name: str, piece: Piece, license: str) -> str:
    """What Gazebo shows of a model in its lists."""
    return f"""<?xml version="1.0"?>
<model>
  <name>{name}</name>
  <version>1.0</version>
  <sdf version="1.9">model.sdf</sdf>
  <author><name>{piece.creator}</name></author>
  <description>{piece.title}, {license}, changed: see ATTRIBUTION.md beside this folder.</description>
</model>
"""


def attribution(rows: list[str]) -> str:
    """The file that gives the creators their due."""
    return "\n".join(
        [
            "# Attribution",
            "",
            "Written by tools/convert_furniture.py. These models come from Debian's `sweethome3d-furniture` 1.8",
            "(collected by Emmanuel Puybaret / eTeks, http://www.sweethome3d.com). They were changed: turned, scaled",
            "to meters, their values rounded, faces without area left out, large textures made smaller. `robot/` and",
            "`tree/`, and the SDF files of `walking_man/` (mesh: man_coat) and `walking_woman/` (mesh: woman_dress),",
            "are robot_ai's own (Apache-2.0).",
            "",
            "| Model | Original (catalog/piece) | Creator | License |",
            "|---|---|---|---|",
            *rows,
            "",
            *(f"- {name}: {url}" for name, url in sorted(set(LICENSES.values()))),
            "- Reallusion: http://www.reallusion.com · Scopia: http://www.scopia.es ·",
            "  BlendSwap contributors: http://www.blendswap.com",
            "",
        ]
    )


def convert(source: Path, target: Path) -> None:
    """Writes every model of the table below `target`."""
    labels = ModelCard.load(share_file("models/nanodet_g/model.yaml").parent).labels
    rows = []
    for name, wish in yaml.safe_load(TABLE.read_text(encoding="utf-8")).items():
        catalog = wish["catalog"]
        license = LICENSES[catalog][0]
        with zipfile.ZipFile(source / f"{catalog}.sh3f") as archive:
            piece = read_catalog(archive)[wish["id"]]
            text = archive.read(piece.model).decode("latin-1")
            mesh = place(read_obj(text), piece, wish.get("turn", 0), wish.get("height"))
            header = f"{piece.title} by {piece.creator}, {license}; changed by tools/convert_furniture.py"
            materials, textures = Materials(archive, piece.model, text).write(list(mesh.faces), header)
        used = sorted({corner[0] for faces in mesh.faces.values() for face in faces for corner in face})
        size = mesh.vertices[used].max(axis=0) - mesh.vertices[used].min(axis=0)
        meshes = target / name / "meshes"
        meshes.mkdir(parents=True, exist_ok=True)
        (meshes / f"{name}.obj").write_text(write_obj(mesh, name, header), encoding="utf-8")
        (meshes / f"{name}.mtl").write_text(materials, encoding="utf-8")
        for file, data in textures.items():
            (meshes / file).write_bytes(data)
        label = None if wish["label"] == "none" else list(labels).index(wish["label"])
        sdf = model_sdf(name, wish.get("collision", "box"), size, label)
        (target / name / "model.sdf").write_text(sdf, encoding="utf-8")
        (target / name / "model.config").write_text(model_config(name, piece, license), encoding="utf-8")
        rows.append(f"| {name} | {catalog}/{wish['id']}: {piece.title} | {piece.creator} | {license} |")
        print(
            f"{name}: {size[0]:.2f} x {size[1]:.2f} x {size[2]:.2f} m, {sum(map(len, mesh.faces.values()))} triangles"
        )
    (target / "ATTRIBUTION.md").write_text(attribution(rows), encoding="utf-8")


def main() -> int:
    """Runs the conversion."""
    parser = argparse.ArgumentParser(description="Convert sweethome3d-furniture to SDF models.")
    parser.add_argument("source", type=Path, help="folder of the .sh3f files")
    parser.add_argument("target", type=Path, help="folder of the models: worlds/models")
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
