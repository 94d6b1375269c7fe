"""Backends found by entry points, and what is said when a framework is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from robot_ai.backends import registry
from robot_ai.backends.errors import BackendImportError, UnknownBackendError
from robot_ai.backends.protocol import Backend

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["pytorch", "tensorflow", "stub"])
def test_ours_are_there_and_keep_the_contract(name: str) -> None:
    assert name in {info.name for info in registry.available()}
    backend = registry.create(name)
    assert isinstance(backend, Backend)
    assert backend is not registry.create(name)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownBackendError, match=r"no backend is named 'caffe'.*pytorch, stub, tensorflow.*Choose"):
        registry.create("caffe")


def provide(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Makes these (name, reference) the only backends installed."""
    found = [metadata.EntryPoint(name, reference, registry.GROUP) for name, reference in points]
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: found)


def test_one_that_cannot_be_imported_is_listed_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    provide(monkeypatch, ("gone", "no.such.module:Class"), ("empty", "robot_ai.backends.stub:NoClass"))
    assert [(info.name, info.installed) for info in registry.available()] == [("empty", False), ("gone", False)]
    for name in ("gone", "empty"):
        with pytest.raises(BackendImportError, match=rf"'{name}' cannot be imported from .*Reinstall"):
            registry.create(name)


def test_one_that_fails_while_it_is_imported_is_listed_and_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_backend.py").write_text("raise RuntimeError('not on this machine')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    provide(monkeypatch, ("broken", "broken_backend:Class"))
    assert not registry.available()[0].installed
    with pytest.raises(BackendImportError, match="not on this machine"):
        registry.create("broken")


def test_a_name_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    provide(monkeypatch, ("stub", "robot_ai.backends.stub:StubBackend"), ("stub", "other.package:Stub"))
    assert not registry.available()[0].installed
    with pytest.raises(BackendImportError, match=r"'stub' is provided more than once.*other.package:Stub.*Uninstall"):
        registry.create("stub")


def test_two_records_of_one_entry_point_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    provide(monkeypatch, *[("stub", "robot_ai.backends.stub:StubBackend")] * 2)
    assert registry.available() == [registry.BackendInfo("stub", True, None, "robot_ai.backends.stub:StubBackend")]
    registry.create("stub")


FRAMEWORKS = [
    ("torch", "pytorch"),
    ("tensorflow", "tensorflow"),
    ("ai_edge_litert", "litert"),
    ("onnxruntime", "onnx"),
    ("openvino", "openvino"),
]
BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            {action}

sys.meta_path.insert(0, Blocker())
from robot_ai.backends.errors import MissingFrameworkError
from robot_ai.backends.registry import available, create
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model

installed = {{info.name: info.installed for info in available()}}
assert installed["stub"] and not installed[sys.argv[2]], installed
assert sys.argv[1] not in sys.modules
try:
    create(sys.argv[2]).load(ModelCard.load(find_model("nanodet_g")))
except MissingFrameworkError as error:
    print(error)
"""


@pytest.mark.parametrize(("module", "backend"), FRAMEWORKS)
def test_a_missing_framework_is_answered_with_the_extra(module: str, backend: str) -> None:
    message = run_blocked(
        BLOCKED.format(
            action="raise ModuleNotFoundError(f'No module named {name!r}', name=name)",
        ),
        module,
        backend,
    )
    assert f"'{module}', which is not installed" in message
    assert f"pip install -e '.[{backend}]'" in message


@pytest.mark.parametrize(("module", "backend"), FRAMEWORKS)
def test_a_framework_that_cannot_be_imported_says_why(module: str, backend: str) -> None:
    message = run_blocked(
        BLOCKED.format(
            action="raise ImportError('libgreat.so.1: cannot open shared object file')",
        ),
        module,
        backend,
    )
    assert "is installed but cannot be imported (libgreat.so.1: cannot open" in message
    assert f"pip install -e '.[{backend}]'" in message


def run_blocked(program: str, module: str, backend: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", program, module, backend],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=CHECKOUT,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
