"""PyTorch's pickled checkpoints: looked at instruction by instruction, never unpickled."""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path

from robot_ai.model_tool.inspection.errors import UnknownFileError

# What a dictionary of tensors is made of; anything else is code of somebody's.
PLAIN = re.compile(r"torch\.\w+|torch\._utils\._rebuild_\w+|torch\.\w+Storage|collections\.OrderedDict|numpy\..+")
MAX_PICKLE_BYTES = 1 << 28
MAX_SHOWN = 5
_STRINGS = ("SHORT_BINUNICODE", "BINUNICODE", "UNICODE", "BINUNICODE8")


def describe_checkpoint(path: Path) -> str:
    """Why a pickle cannot be imported, and how its model is exported. Raises UnknownFileError for no pickle at all."""
    classes = _classes(path)
    foreign = [name for name in classes if not PLAIN.fullmatch(name)]
    if any(name.startswith("ultralytics.") for name in foreign):
        return (
            f"{path} is an Ultralytics checkpoint: a pickle of Python objects ({_shown(foreign)}), which would run "
            f"code when opened. Export it where it was trained: yolo export model={path.name} format=onnx; then import "
            f"{path.with_suffix('.onnx').name}"
        )
    if any(name.startswith("models.") for name in foreign):
        return (
            f"{path} is a checkpoint of a YOLOv5 or YOLOv7 repository: a pickle of Python objects ({_shown(foreign)}), "
            f"which would run code when opened. Export it in that repository: python export.py --weights {path.name} "
            "--include onnx; then import the .onnx file"
        )
    if foreign:
        return (
            f"{path} is a pickle of Python objects ({_shown(foreign)}), which would run code when opened; it was not "
            "opened. Load it where it was trained and export it: torch.onnx.export(model.eval(), (image,), "
            f"'{path.stem}.onnx'), or torch.export.save(torch.export.export(model.eval(), (image,)), "
            f"'{path.stem}.pt2'); then import that file"
        )
    return (
        f"{path} holds weights only (a state_dict), without the network that they belong to. Build the network in "
        "Python, load the weights with torch.load(..., weights_only=True), and export it: torch.onnx.export("
        f"model.eval(), (image,), '{path.stem}.onnx'), or torch.export.save(torch.export.export(model.eval(), "
        f"(image,)), '{path.stem}.pt2'); then import that file. A network that is an installed Python class needs no "
        "export: see docs/models.md"
    )


def _shown(names: list[str]) -> str:
    rest = len(names) - MAX_SHOWN
    return ", ".join(names[:MAX_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _classes(path: Path) -> list[str]:
    """The Python names that the pickle refers to, in order of appearance."""
    found: dict[str, None] = {}
    for data in _pickles(path):
        try:
            _collect(data, found)
        except Exception as error:
            raise UnknownFileError(
                f"{path} is no model that can be read: neither an archive nor a pickle ({error}). Expected .pt2, "
                "TorchScript or another format that `robot_ai model import --help` lists"
            ) from error
    return list(found)


def _pickles(path: Path) -> list[bytes]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            return [stream.read(MAX_PICKLE_BYTES)]
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.endswith("data.pkl")]
        return [archive.read(entry) for entry in entries if entry.file_size <= MAX_PICKLE_BYTES]


def _collect(data: bytes, found: dict[str, None]) -> None:
    """Enters the names of one pickle. In protocol 4, STACK_GLOBAL takes the last two strings."""
    strings: list[str] = []
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in _STRINGS:
            strings.append(str(argument))
        elif operation.name == "GLOBAL":
            found[str(argument).replace(" ", ".")] = None
        elif operation.name == "STACK_GLOBAL":
            found[".".join(strings[-2:])] = None
