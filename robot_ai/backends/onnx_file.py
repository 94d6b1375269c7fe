"""Which files an ONNX model draws its weights from, read without loading it.

An ONNX file is a protobuf message (onnx.proto3 of the ONNX repository). A tensor in it may lie in another file, named
by a path that an attacker chooses freely; so the names are read before any framework follows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from robot_ai.backends.errors import ArtifactLoadError

# Message types and, for each, the fields that lead to a tensor: number → message type.

_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_MAX_DEPTH = 64
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def onnx_file(path: Path) -> Path:
    """The `.onnx` file of an artifact, which is that file, or a directory with one and the files that it names.

    Raises ArtifactLoadError, also when the model draws on a file outside the artifact, which no checksum covers.
    """
    file = _only_model(path) if path.is_dir() else path
    try:
        locations = set(_locations(memoryview(file.read_bytes()), "model"))
    except (OSError, ValueError, IndexError) as error:
        raise ArtifactLoadError(f"{file} is not a readable ONNX file: {error}. Restore it") from error
    for location in sorted(locations):
        relative = PurePosixPath(location.replace("\\", "/"))
        if not path.is_dir() or not relative.parts or relative.is_absolute() or ".." in relative.parts:
            raise ArtifactLoadError(
                f"{file} keeps weights in '{location}', outside the artifact; expected all in one file, or a directory "
                "as artifact that holds the model and its weights. Export it again, or name the directory as 'path'"
            )
    return file


def _only_model(directory: Path) -> Path:
    files = sorted(directory.glob("*.onnx"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "no .onnx file"
        raise ArtifactLoadError(f"{directory} holds {names}; expected one .onnx file. Remove the others")
    return files[0]


def _locations(message: memoryview, kind: str, depth: int = 0) -> Iterator[str]:
    """The external files that tensors below this message name."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"messages nested deeper than {_MAX_DEPTH}")
    for number, value in _fields(message):
        inner = _FIELDS[kind].get(number)
        if inner == "entry":
            entry = dict(_fields(value))
            if bytes(entry.get(1, b"")) == b"location":
                yield bytes(entry.get(2, b"")).decode()
        elif inner is not None:
            yield from _locations(value, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protobuf message that have a length (encoding: protobuf.dev/programming-guides/encoding)."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _LENGTH:
            length, at = _varint(message, at)
            if length > len(message) - at:
                raise ValueError("it is truncated")
            yield tag >> 3, message[at : at + length]
            at += length
        elif wire == _VARINT:
            _, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
    if at != len(message):
        raise ValueError("it is truncated")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 10 bytes")
