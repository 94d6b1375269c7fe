"""`robot_ai model export`: formats of a model, added to a copy of its card, each proven against the golden sample."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import MissingFrameworkError, UnknownBackendError
from robot_ai.backends.interpreter import part_compilers
from robot_ai.backends.loading import BackendChoice, load_backend
from robot_ai.errors import RobotAIError
from robot_ai.model_tool.card_edit import set_artifact, set_golden
from robot_ai.model_tool.export import micro, onnx_formats, tensorflow_formats, tfjs, torch_formats
from robot_ai.model_tool.export.errors import ExportDamagedError, OutputError
from robot_ai.model_tool.export.formats import FORMATS, Format
from robot_ai.model_tool.export.packages import check_installed
from robot_ai.model_tool.export.workshop import FAMILIES, Workshop, choose_source, converted
from robot_ai.model_tool.samples import representative
from robot_ai.models.artifacts import backend_of, checksum
from robot_ai.models.card import CARD_FILE, ModelCard
from robot_ai.models.comparison import lists_something
from robot_ai.models.find import find_model
from robot_ai.models.golden import GoldenSample

CALIBRATION_VIEWS = 100
# So many are tried for one in which the model finds something.
GOLDEN_VIEWS = 20
Say = Callable[[str], None]


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    formats: in the order in which they are made. source: the artifact to start from, None for the nearest to each
    format. output: the directory of the new card, which may be the model's own; a card of the same name that is there
    is added to. samples: a folder of photos, or of clouds for a lidar's model, for the golden sample and for int8's
    calibration; None for the photos inside wheels, or simulated clouds. calibration_views: how many views of them int8
    is calibrated with.
    """

    model: str
    formats: Sequence[Format]
    output: Path
    source: str | None = None
    samples: Path | None = None
    calibration_views: int = CALIBRATION_VIEWS


def export_model(request: ExportRequest, say: Say) -> Path:
    """Writes the formats and the card; returns the card's directory.

    Every artifact is loaded and compared with the golden sample before the card names it; one that fails is removed
    again. Raises a ModelToolError, ModelCardError or BackendError.
    """
    # The converters import both frameworks, in whatever order.
    part_compilers()
    directory = find_model(request.model)
    output = _prepare(directory, request.output)
    card = ModelCard.load(output, backends=())
    # Before anything is made: a format that cannot be reached must not cost the minutes of the others, and what is made
    # is nobody's source.
    sources = {item.name: _source_of(card, item, request.source) for item in request.formats}
    int8 = {item.key for item in request.formats} | card.artifacts.keys()
    for item in request.formats:
        key = sources[item.name]
        check_installed(item, key, FAMILIES[backend_of(key)], FORMATS["tflite-int8"].key in int8)
    if card.golden is None:
        first = sources[request.formats[0].name]
        say(f"golden sample, from {first}")
        _write_golden(output, first, request.samples, say)
    with tempfile.TemporaryDirectory(prefix="robot_ai_export_") as scratch:
        shops: dict[str, Workshop] = {}
        for number, item in enumerate(request.formats, 1):
            say(f"[{number}/{len(request.formats)}] {item.name} …")
            started = time.monotonic()
            source = sources[item.name]
            if source not in shops:
                folder = Path(scratch) / f"{len(shops)}"
                folder.mkdir()
                ModelCard.load(output, backends=[source])
                shops[source] = Workshop(card, source, folder, lambda line: say(f"      {line}"))
            path = _write(item, shops[source], request, output, say)
            seconds = time.monotonic() - started
            say(f"      {path.name}, {_size(path) / 1e6:.1f} MB, from {source}, {seconds:.0f} s")
    return output


def _source_of(card: ModelCard, item: Format, wanted: str | None) -> str:
    family = FORMATS[item.family].family if item.family in FORMATS else item.family
    return choose_source(card, family, wanted, exclude=item.key)


def _prepare(directory: Path, output: Path) -> Path:
    """Copies the card and its files to the output directory, unless that holds this model already."""
    output = output.expanduser().absolute()
    if output.resolve() == directory.resolve():
        return output
    try:
        if (output / CARD_FILE).is_file():
            there, ours = (ModelCard.load(place, backends=()).name for place in (output, directory))
            if there != ours:
                raise OutputError(
                    f"{output} holds the model '{there}'; expected '{ours}', or another place for --output"
                )
            return output
        if output.exists() and any(output.iterdir()):
            raise OutputError(f"{output} is not empty and holds no {CARD_FILE}; choose another place for --output")
        shutil.copytree(directory, output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    except OSError as error:
        raise OutputError(f"{output} cannot be written ({error}); choose another place for --output") from error
    return output


def _write_golden(output: Path, key: str, samples: Path | None, say: Say) -> None:
    """Runs the source artifact on the first sample that tells something and stores what it takes and gives."""
    card, backend = load_backend(BackendChoice(str(output), key, "cpu"))
    taken, given = card.input_for(backend_of(key)), card.inputs[0]
    try:
        for batch in representative(taken, samples, GOLDEN_VIEWS).batches():
            outputs = {name: np.array(array) for name, array in backend.infer({taken.name: batch}).items()}
            if lists_something(card, outputs):
                break
        else:
            say("      none: the model finds nothing in any sample; give some in which it does with --representative")
            return
    finally:
        backend.close()
    if taken.layout != given.layout:
        batch = batch.transpose((0, 3, 1, 2) if given.layout == "NCHW" else (0, 2, 3, 1))
    path = output / "golden.safetensors"
    GoldenSample({given.name: batch}, {spec.name: outputs[spec.name] for spec in card.outputs}).save(path)
    path.chmod(0o644)  # safetensors writes files that only their owner reads; a node may run as another user
    set_golden(output, path.name, checksum(path))


def _write(item: Format, shop: Workshop, request: ExportRequest, output: Path, say: Say) -> Path:
    """Makes one artifact beside its final place, enters it into the card, and takes it back when it is no good."""
    path = output / f"{shop.card.name}{item.suffix}"
    fresh = output / f".making_{path.name}"
    _remove(fresh)
    try:
        extra = _make(item, shop, request, fresh, say)
        former = (output / CARD_FILE).read_bytes()
        with _moved_aside(path) as restore:
            fresh.rename(path)
            entry = {"path": path.name, "sha256": checksum(path), "layout": item.layout} | extra
            try:
                for key in (item.key, *item.also):
                    set_artifact(output, key, entry)
                    say(f"      {key}: {_proof(output, key)}")
            except RobotAIError as error:
                (output / CARD_FILE).write_bytes(former)
                _remove(path)
                restore()
                raise ExportDamagedError(f"{item.name} was made, but is not the same model: {error}") from error
    finally:
        _remove(fresh)
    return path


def _make(item: Format, shop: Workshop, request: ExportRequest, path: Path, say: Say) -> dict[str, Any]:
    """Writes the file or directory; returns what the card's entry says beyond path, checksum and layout."""
    if item.name == "pt2":
        model = shop.torch
        converted("torch.export", lambda: torch_formats.to_exported(model, shop.card, path))
        return {"layout": "NHWC"}  # channels last: faster to fill and to run
    if item.name == "torchscript":
        model = shop.torch
        converted("torch.jit.trace", lambda: torch_formats.to_torchscript(model, shop.card, path))
        return {"layout": "NHWC"} | ({"options": {"batch": model.batch}} if model.batch else {})
    if item.name == "onnx":
        made = shop.onnx
        shutil.copyfile(made.path, path)
        onnx_formats.store_as_float16(path)
        return {"layout": made.layout} | ({"tensors": dict(made.tensors)} if made.tensors else {})
    if item.name == "tflite-micro":
        return _make_micro(shop, request, path, say)
    function = shop.tensorflow
    if item.name == "tflite-int8":
        _make_int8(shop, request, path, say)
        return {"precision": "int8"}
    writer = {
        "saved_model": tensorflow_formats.to_saved_model,
        "keras": tensorflow_formats.to_keras,
        "tflite": tensorflow_formats.to_tflite,
        "tfjs": tfjs.to_tfjs,
    }[item.name]
    converted(item.name, lambda: writer(function, path))
    return {}


def _make_int8(shop: Workshop, request: ExportRequest, path: Path, say: Say) -> None:
    views = representative(shop.nhwc_input, request.samples, request.calibration_views)
    say(f"      calibration: {views.title}")

    def batches() -> Iterator[NDArray[Any]]:
        for number, batch in enumerate(views.batches(), 1):
            if number % 25 == 0:
                say(f"      calibration: {number}/{views.count}")
            yield batch

    function = shop.tensorflow
    converted("tflite-int8", lambda: tensorflow_formats.to_tflite_int8(function, path, batches))


def _make_micro(shop: Workshop, request: ExportRequest, path: Path, say: Say) -> dict[str, Any]:
    """From the card's own int8 file where it is there, so that both are the same numbers."""
    card = ModelCard.load(request.output.expanduser().absolute(), backends=())
    int8 = card.artifacts.get(FORMATS["tflite-int8"].key)
    if int8 is not None and int8.path is not None and int8.path.is_file():
        content = int8.path.read_bytes()
    else:
        file = path.with_name(f"{path.name}.tflite")
        try:
            _make_int8(shop, request, file, say)
            content = file.read_bytes()
        finally:
            _remove(file)
    result = converted(
        "TensorFlow Lite Micro", lambda: micro.write(content, card.name, path, lambda line: say(f"      {line}"))
    )
    return {"precision": "int8", "options": {"arena_bytes": result.arena_bytes, "operations": list(result.operations)}}


def _proof(output: Path, key: str) -> str:
    """Loads what was made; says against what it was held. Raises what loading raises."""
    try:
        card, backend = load_backend(BackendChoice(str(output), key, "cpu"))
    except UnknownBackendError:
        return "no backend here runs it: not compared"
    except MissingFrameworkError as error:
        return f"not compared: {error}"
    backend.close()
    return f"loaded and {'compared with the golden sample' if card.golden else 'run, but compared with nothing'}"


class _moved_aside:  # noqa: N801 (a context manager, used like a function)
    """Keeps what was at a path until the new artifact is proven."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".former_{path.name}")

    def __enter__(self) -> Callable[[], None]:
        _remove(self._aside)
        if self._path.exists():
            self._path.rename(self._aside)
        return self._restore

    def __exit__(self, *_: object) -> None:
        _remove(self._aside)

    def _restore(self) -> None:
        if self._aside.exists():
            self._aside.rename(self._path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
