"""The libraries whose networks are exported. None is among the project's own: docs/import.md says how to run this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

MISSING = "is not installed: docs/import.md says how to run this"


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    return pytest.importorskip("torch", reason="needs the extra pytorch")


@pytest.fixture
def torchvision(torch: Any) -> Any:
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:  # RuntimeError: a build for another PyTorch
        pytest.skip(f"torchvision cannot be imported ({error}): docs/import.md says how to run this")
    if not torchvision.extension._has_ops():
        pytest.skip("torchvision's operators do not fit this PyTorch: docs/import.md says how to run this")
    return torchvision


@pytest.fixture
def ultralytics(torch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("YOLO_AUTOINSTALL", "0")
    monkeypatch.setenv("YOLO_OFFLINE", "1")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return pytest.importorskip("ultralytics", reason=f"ultralytics {MISSING}")


@pytest.fixture
def transformers(torch: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("transformers", reason=f"transformers {MISSING}")
