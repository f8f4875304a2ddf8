"""Where a figure came from: code, libraries, hardware. It goes into every record and into no key."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.device import facts
from bench.version import VERSION

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pyod", "anomalib", "pandas", "joblib")
SUMMATION_ORDER = "MKL_CBWR"
"""The variable that tells MKL in which order to add up."""


@functools.cache
def environment() -> dict[str, Any]:
    """What stays the same for a whole process: git commit and whether the tree is dirty, versions, processor."""
    return {
        "bench": VERSION,
        "python": platform.python_version(),
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        **_git(),
    }


def accelerator(device: str) -> dict[str, Any]:
    """The device that a job ran on, and how it computed; asked in the worker, which has torch loaded."""
    import torch

    threads = {"device": device, "threads": torch.get_num_threads()}
    order = os.environ.get(SUMMATION_ORDER)
    return {**threads, **({"mkl_cbwr": order} if order else {}), **facts(device)}


def command() -> list[str]:
    """The command line as typed, its program by name alone."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def processor_facts() -> dict[str, str]:
    """What the kernel tells of the first processor, by its own names; empty where it tells nothing."""
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    return facts


def _processor() -> str:
    """The processor's name, with its family and model: virtual machines give different ones the same name."""
    facts = processor_facts()
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    numbers = [
        f"{name} {facts[fact]}" for name, fact in (("family", "cpu family"), ("model", "model")) if fact in facts
    ]
    return f"{facts['model name']} ({', '.join(numbers)})" if numbers else facts["model name"]


def _git() -> dict[str, Any]:
    """Commit and dirtiness of the checkout that the code runs from; None for an installed copy."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return {"git_commit": None, "git_dirty": None}

    def git(*arguments: str) -> str:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
        return answer.stdout.strip()

    try:
        return {"git_commit": git("rev-parse", "HEAD"), "git_dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None, "git_dirty": None}
