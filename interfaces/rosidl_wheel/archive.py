"""Lays out an interface package as a wheel: what pip puts where an ament prefix has it."""

from __future__ import annotations

import base64
import hashlib
import sys
import sysconfig
import zipfile
from pathlib import Path

from . import pins
from .generate import Sources
from .manifest import Manifest


def tag() -> str:
    """Returns the compatibility tag: this very Python and platform, since the wheel holds an extension module."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    abi = f"{python}{getattr(sys, 'abiflags', '')}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"{python}-{abi}-{platform}"


def metadata(manifest: Manifest) -> dict[str, str]:
    """Returns the dist-info files that are known before anything is compiled."""
    fields = [
        ("Metadata-Version", "2.1"),
        ("Name", manifest.name),
        ("Version", manifest.version),
        ("Summary", manifest.description),
        ("Maintainer", manifest.maintainer),
        ("Maintainer-email", manifest.email),
        ("License", manifest.license),
        *(("Requires-Dist", requirement) for requirement in pins.message_requirements(manifest.dependencies)),
    ]
    wheel = [("Wheel-Version", "1.0"), ("Generator", "rosidl_wheel"), ("Root-Is-Purelib", "false"), ("Tag", tag())]
    return {
        "METADATA": "".join(f"{key}: {value}\n" for key, value in fields),
        "WHEEL": "".join(f"{key}: {value}\n" for key, value in wheel),
    }


def _tree(root: Path, pattern: str, target: str) -> dict[str, bytes]:
    return {f"{target}/{path.relative_to(root).as_posix()}": path.read_bytes() for path in sorted(root.rglob(pattern))}


def contents(manifest: Manifest, sources: Sources, compiled: Path) -> dict[str, bytes]:
    """Returns every file of the wheel but its dist-info, by the path it has in the archive."""
    name = manifest.name
    prefix = f"{name}-{manifest.version}.data/data"
    share, index = f"{prefix}/share/{name}", f"{prefix}/share/ament_index/resource_index"
    definitions = {
        **{str(file): (manifest.root / file).read_bytes() for file in manifest.interfaces},
        **_tree(sources.idl, "*.idl", "."),
        **_tree(sources.type_description, "*.json", "."),
    }
    definitions = {path.removeprefix("./"): data for path, data in definitions.items()}
    listed = sorted(path for path in definitions if not path.endswith(".json"))
    return {
        **_tree(sources.python / name, "*.py", name),
        **_tree(compiled / name, "*.so", name),
        **_tree(compiled / "lib", "*.so", f"{prefix}/lib"),
        **_tree(sources.c / name, "*.h", f"{prefix}/include/{name}/{name}"),
        **{f"{share}/{path}": data for path, data in definitions.items()},
        f"{share}/package.xml": (manifest.root / "package.xml").read_bytes(),
        f"{index}/packages/{name}": b"",
        f"{index}/package_run_dependencies/{name}": ";".join(manifest.dependencies).encode(),
        f"{index}/rosidl_interfaces/{name}": "\n".join(listed).encode(),
    }


def write(manifest: Manifest, files: dict[str, bytes], folder: Path) -> str:
    """Writes the wheel into `folder` and returns its file name."""
    dist_info = f"{manifest.name}-{manifest.version}.dist-info"
    files = {**files, **{f"{dist_info}/{file}": text.encode() for file, text in metadata(manifest).items()}}
    record = [f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in files.items()]
    files[f"{dist_info}/RECORD"] = "".join([*record, f"{dist_info}/RECORD,,\n"]).encode()
    file_name = f"{manifest.name}-{manifest.version}-{tag()}.whl"
    with zipfile.ZipFile(folder / file_name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            # A ZipInfo without a date gives the same bytes for the same content.
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o755 if path.endswith(".so") else 0o644) << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return file_name


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
