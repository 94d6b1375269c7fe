"""All frameworks in one process, in either order of loading, swapped again and again; 200 swaps: `bench/swaps.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_model import NEEDS, write_tiny_card

KEYS = ["pytorch", "tensorflow", "litert", "onnx", "openvino"]
SUPPORT = Path(__file__).resolve().parents[1] / "support"
SWAP = """
import sys
import numpy as np
import psutil
from tiny_model import expected, images
from robot_ai.backends.loading import BackendChoice, load_backend

folder, keys = sys.argv[1], sys.argv[2:]
sizes = []
for round in range(12):
    for key in keys:
        card, backend = load_backend(BackendChoice(folder, key, "cpu", threads=1))
        found = backend.infer({"image": images(2, card.input_for(key).layout)})
        assert abs(found["boxes"] - expected(images(2))["boxes"]).max() < 1e-3, key
        backend.close()
    sizes.append(psutil.Process().memory_info().rss / 2**20)
print(sizes[-1] - sizes[3])
"""


@pytest.mark.parametrize("order", [KEYS, KEYS[::-1]], ids=["pytorch first", "openvino first"])
def test_swaps_in_one_process_keep_the_memory_flat(order: list[str], tmp_path: Path) -> None:
    for key in order:
        for module in NEEDS[key]:
            pytest.importorskip(module, exc_type=ImportError)
    write_tiny_card(tmp_path, order)
    run = subprocess.run(
        [sys.executable, "-c", SWAP, str(tmp_path), *order],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    # MiB in 40 swaps; one framework that kept its models would take several times this.
    assert float(run.stdout.split()[-1]) < 20
