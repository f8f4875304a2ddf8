"""What a worker does with memory between jobs."""

import platform
from pathlib import Path

import pytest
import torch

from bench.execution import memory

PAGE = 4096


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back on request")
def test_what_a_job_freed_does_not_count_for_the_next() -> None:
    before = resident()
    held = [torch.ones(25_000) for _ in range(2000)]
    last = torch.ones(25_000)  # lies above all the others, so that they are not given back of themselves
    del held
    assert resident() - before > 100e6
    memory.release("cpu")
    assert resident() - before < 50e6
    assert last.sum() == 25_000
