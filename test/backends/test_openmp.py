"""How long waiting threads spin, as GNU OpenMP itself tells."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOAD = "from robot_ai.backends.openmp import let_threads_sleep; let_threads_sleep(); import torch"


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({}, "GOMP_SPINCOUNT = '1000'"),
        ({"GOMP_SPINCOUNT": "5"}, "GOMP_SPINCOUNT = '5'"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "OMP_WAIT_POLICY = 'ACTIVE'"),
    ],
)
def test_the_library_that_pytorch_loads_takes_it_unless_the_user_chose(chosen: dict[str, str], told: str) -> None:
    pytest.importorskip("torch")
    ours = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE"} | chosen
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=True)
    assert told in done.stderr
    assert ("GOMP_SPINCOUNT = '1000'" in done.stderr) == (not chosen)
