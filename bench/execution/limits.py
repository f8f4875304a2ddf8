"""What a job may take: seconds, bytes of main memory, bytes of a GPU."""

from __future__ import annotations

import math
from typing import NamedTuple

from bench.errors import BenchError
from bench.execution.estimates import gpu_growth
from bench.method import Method
from bench.specs import parse_spec
from bench.workspace import Workspace


class Limits(NamedTuple):
    """Seconds and bytes that a job may take, and bytes of a GPU that it is said to need."""

    timeout: float
    memory: float
    gpu_memory: float | None


def limits_of(text: str, workspace: Workspace, timeout: float | None, memory: float | None) -> Limits:
    """From the command line, else from the method, else from bench.toml."""
    spec = parse_spec(text)
    growth = 1.0
    try:
        declared: type[Method] | None = workspace.methods.load(spec.name)
        growth = gpu_growth(spec, workspace.methods)
    except BenchError:  # the job will say so itself
        declared = None
    timeouts = (timeout, declared.timeout if declared else None, workspace.config.timeout)
    gigabytes = (memory, declared.memory if declared else None, workspace.config.memory)
    on_gpu = declared.gpu_memory if declared else None
    return Limits(
        timeout=next(each for each in timeouts if each is not None),
        memory=next((1e9 * each for each in gigabytes if each is not None), math.inf),
        gpu_memory=1e9 * on_gpu * growth if on_gpu is not None else None,
    )
