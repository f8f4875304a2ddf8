"""What a worker does with memory between jobs."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import torch
from pathlib import Path
from bench import device

def resident():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

before = resident()
held = [torch.ones(25_000) for _ in range(2000)]
last = torch.ones(25_000)  # lies above all the others, so that they are not given back of themselves
del held
kept = resident() - before
device.release("cpu")
print(kept, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back on request")
def test_what_a_job_freed_does_not_count_for_the_next() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    kept, left = map(int, ended.stdout.split())
    assert kept > 100e6
    assert left < 50e6
