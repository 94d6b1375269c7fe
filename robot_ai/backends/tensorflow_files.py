"""TensorFlow's and Keras' files, looked at before they are loaded.

A SavedModel holds operations that read and write files, some of which run while it loads. A Keras file names modules
that Keras imports and may link to other HDF5 files. What is written by exporting a network needs none of this.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from robot_ai.backends.archives import members_of, refusal
from robot_ai.backends.errors import ArtifactLoadError, BackendOptionError
from robot_ai.models.card import Artifact

# Operations on files and on Python, by name or family.
_HOSTILE = re.compile(
    r"(Read|Write|Delete|Copy|Rename)File|MatchingFiles|(Eager)?PyFunc(Stateless)?|(Save|Load)Dataset\w*|DatasetFrom\w+"
    r"|\w*(Reader|RecordDataset|LineDataset|FileWriter)(V\d)?|(Write|Import|Flush)\w*Summary\w*|Debug\w+|\w*Snapshot\w*"
    r"|LoadLibrary\w*|Rpc\w*|TPU\w*|\w*GcsFileSystem\w*|Save|SaveSlices|BigQuery\w*|DataService\w*"
)
# Every SavedModel has these, in functions that only saving calls.
_SAVING = {"SaveV2", "MergeV2Checkpoints"}
_SAVER = re.compile(r"__inference__traced_(save|restore)_\d+")
# Modules from which Keras may take classes and functions.
_KERAS_MODULES = {"keras", "builtins", "tf_keras", "tensorflow"}


def check_saved_model(path: Path, signature: str = "") -> str:
    """Reads a SavedModel's graph without loading it; returns the signature to use.

    Raises ArtifactLoadError for one that is damaged or does more than compute, and BackendOptionError for a signature
    that it does not have.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((path / "saved_model.pb").read_bytes())
    except Exception as error:
        raise ArtifactLoadError(
            f"{path} is not a readable SavedModel: {error}. Restore it: a directory with saved_model.pb and variables/"
        ) from error
    for graph in model.meta_graphs:
        for asset in graph.asset_file_def:
            _check_inside(path, asset.filename)
        _check_functions(path, graph)
    serving = [graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags]
    if len(serving) != 1:
        raise ArtifactLoadError(f"{path} has {len(serving)} graphs tagged 'serve'; expected one. Export it again")
    return _choose(path, sorted(set(serving[0].signature_def) - {"__saved_model_init_op"}), signature)


def _choose(path: Path, there: list[str], wanted: str) -> str:
    if not wanted and len(there) == 1:
        return there[0]
    wanted = wanted or "serving_default"
    if wanted not in there:
        raise BackendOptionError(
            f"option 'signature' of backend 'tensorflow' is '{wanted}'; {path} has {', '.join(there) or 'none'}. "
            "Choose one of these"
        )
    return wanted


def _check_inside(path: Path, name: str) -> None:
    relative = PurePosixPath(name.replace("\\", "/"))
    if not relative.parts or relative.is_absolute() or ".." in relative.parts:
        raise refusal(path, f"the asset '{name}', which lies outside the SavedModel")


def _check_functions(path: Path, graph: Any) -> None:
    """Refuses operations on files, except in the functions with which every SavedModel saves itself anew."""
    published = set(graph.object_graph_def.concrete_functions)
    for function in graph.graph_def.library.function:
        name = function.signature.name
        saves = _SAVER.fullmatch(name) is not None and name not in published
        for node in function.node_def:
            _check_operation(path, node.op, saves)
            if not saves and any(_SAVER.fullmatch(called) for called in _called(node)):
                raise refusal(path, f"the function '{name}', which saves files")
    if graph.object_graph_def.nodes:  # TensorFlow 2: the main graph is not run
        for node in graph.graph_def.node:
            _check_operation(path, node.op, True)
        return
    for node in _run_nodes(graph):
        _check_operation(path, node.op, False)


def _run_nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a TensorFlow 1 graph that a signature or the initialization leads to."""
    nodes = {node.name: node for node in graph.graph_def.node}
    waiting = [
        tensor.name.partition(":")[0]
        for signature in graph.signature_def.values()
        for tensor in signature.outputs.values()
    ]
    for key in ("legacy_init_op", "main_op", "saved_model_main_op"):
        waiting += graph.collection_def[key].node_list.value if key in graph.collection_def else []
    seen: set[str] = set()
    while waiting:
        name = waiting.pop().lstrip("^").partition(":")[0]
        if name in nodes and name not in seen:
            seen.add(name)
            yield nodes[name]
            waiting += nodes[name].input


def _called(node: Any) -> Iterator[str]:
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def _check_operation(path: Path, operation: str, saves: bool) -> None:
    if _HOSTILE.fullmatch(operation) or (operation in _SAVING and not saves):
        raise refusal(path, f"the operation '{operation}', which does more than compute")


def check_keras(path: Path, artifact: Artifact) -> None:
    """Raises ArtifactLoadError for a `.keras` file that is damaged, or names code or files outside itself."""
    members = members_of(path)
    for name in members:
        if name not in ("config.json", "metadata.json", "model.weights.h5") and not name.startswith("assets/"):
            raise refusal(path, f"'{name}', which is no part of a Keras file")
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            with archive.open("model.weights.h5") as weights:
                _check_hdf5(path, weights)
    except (KeyError, ValueError, OSError) as error:
        raise ArtifactLoadError(f"{path} is not a readable Keras file: {error}. Restore it") from error
    _check_config(path, config, artifact)


def check_h5(path: Path, artifact: Artifact) -> None:
    """Raises ArtifactLoadError for an `.h5` file that is damaged, or names code or files outside itself."""
    try:
        config = json.loads(_check_hdf5(path, path))
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise ArtifactLoadError(
            f"{path} is not a readable Keras model: {error}. Restore it; weights alone are no model"
        ) from error
    _check_config(path, config, artifact)


def _check_hdf5(path: Path, file: Any) -> Any:
    """Walks an HDF5 file, refusing links to and data in other files; returns its `model_config`, if it has one."""
    import h5py

    with h5py.File(file, "r") as content:
        waiting = [content]
        while waiting:
            group = waiting.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise refusal(path, f"'{name}', a link to {getattr(link, 'filename', link.path)}")
                item = group[name]
                if isinstance(item, h5py.Group):
                    waiting.append(item)
                elif item.external or item.is_virtual:
                    raise refusal(path, f"'{name}', whose data lie in another file")
        return content.attrs.get("model_config")


def _check_config(path: Path, config: Any, artifact: Artifact) -> None:
    """Refuses classes from modules that are neither Keras' nor of the package that the card's `network` names."""
    allowed = set(_KERAS_MODULES)
    if artifact.network:
        allowed.add(artifact.network.partition(":")[0].split(".")[0])
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            module = value.get("module")
            if isinstance(module, str) and module.split(".")[0] not in allowed:
                raise refusal(path, f"a layer of the module '{module}'")
            if value.get("class_name") in ("Lambda", "__lambda__", "function", "__typespec__") and (
                value["class_name"] != "function" or not str(module).startswith("keras")
            ):
                raise refusal(path, f"a layer with code in it ({value['class_name'].strip('_')})")
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
