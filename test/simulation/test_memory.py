"""What the operating system says of a process that asked for less."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
from pathlib import Path
from robot_ai.simulation.memory import return_memory, small_pages
def status(key):
    return next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
small_pages()
blocks = [bytearray(50_000) for _ in range(2_000)]
keep = bytearray(100)
full = int(status("VmRSS"))
del blocks
return_memory()
print(status("THP_enabled"), full - int(status("VmRSS")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_huge_pages_are_off_and_freed_memory_is_given_back() -> None:
    output = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout
    huge_pages, returned = output.split()
    assert huge_pages == "0"
    assert int(returned) > 50_000, "of 100 MB, in kB"
