"""Does memory stay flat while backends are swapped in one process? `python -m bench.swaps --swaps 200`."""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from bench.report import slope, table
from robot_ai.backends.loading import BackendChoice, load_backend
from robot_ai.models.artifacts import backend_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "support"))
from tiny_model import write_tiny_card

KEYS = ("pytorch", "tensorflow", "litert", "onnx", "openvino", "pytorch/pt2", "pytorch/torchscript",
        "tensorflow/saved_model", "tensorflow/keras", "tensorflow/h5", "litert/int8", "openvino/ir")  # fmt: skip
# Share of the swaps after which every framework has its pools and caches.
WARM_UP = 0.3


def run(model: str | None, keys: list[str], swaps: int, passes: int = 3) -> str:
    """Loads, runs and closes the artifacts in turn; gives the resident memory on the way."""
    process = psutil.Process()
    samples: list[tuple[int, float]] = []
    durations: dict[str, list[float]] = {key: [] for key in keys}
    with tempfile.TemporaryDirectory() as folder:
        place = model or str(write_tiny_card(Path(folder), keys))
        for count, key in zip(range(1, swaps + 1), itertools.cycle(keys), strict=False):
            started = time.perf_counter()
            card, backend = load_backend(BackendChoice(place, key, "cpu", threads=1))
            durations[key].append(time.perf_counter() - started)
            spec = card.input_for(backend_of(key)).tensor
            image = np.zeros([axis or 1 for axis in spec.shape], spec.dtype)
            for _ in range(passes):
                backend.infer({spec.name: image})
            backend.close()
            samples.append((count, process.memory_info().rss / 2**20))
    warm = [(count, size) for count, size in samples if count > WARM_UP * swaps]
    growth = slope([count for count, _ in warm], [size for _, size in warm])
    header = ["Swaps", "RSS after warm-up (MiB)", "At the end", "Largest less smallest", "KiB per swap"]
    sizes = [size for _, size in warm]
    rows = [[swaps, sizes[0], sizes[-1], max(sizes) - min(sizes), growth * 1024]]
    loads = [[key, statistics.median(times) * 1000] for key, times in durations.items() if times]
    return table(header, rows) + "\n\n" + table(["Artifact", "Load, warm-up and verification (ms, median)"], loads)


def main() -> int:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.swaps", description=__doc__)
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--model", help="a model's name or path (the tests' tiny one, in every format)")
    parser.add_argument("keys", nargs="*", default=list(KEYS), help="artifacts, in the order of loading")
    arguments = parser.parse_args()
    print(run(arguments.model, arguments.keys, arguments.swaps))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
