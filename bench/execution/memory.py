"""Peak memory of one job within a process that runs many."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from pathlib import Path


def reset_peak(device: str) -> None:
    """Start counting the peak anew. On Linux; elsewhere the process's own peak only grows."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some containers forbid it: the peak then counts from the worker's start
            Path("/proc/self/clear_refs").write_text("5")


def release(device: str) -> None:
    """Give back what is kept for later: torch's of a GPU, where other jobs may be waiting, and freed main memory, which
    would count towards the next job's peak."""
    with contextlib.suppress(AttributeError, OSError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


def peak(device: str) -> int:
    """Bytes: of GPU memory allocated by torch on a GPU, else of the process's resident memory."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024
