"""Slots: where one job runs at a time. One CPU core each, or one GPU each."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from bench.errors import BenchError


@dataclass(frozen=True)
class Slot:
    """A place for one worker: its name, the torch device as the worker sees it, and the worker's environment."""

    name: str
    device: str = "cpu"
    environment: dict[str, str] = field(default_factory=dict, hash=False)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_slots(device: str = "auto", workers: int | None = None) -> list[Slot]:
    """The slots for ``--device`` (auto, cpu, cuda, cuda:N) and ``--workers``.

    Raises BenchError for a device that is not there.
    """
    if workers is not None and workers < 1:
        raise BenchError(f"--workers must be at least 1, not {workers}")
    if device == "auto":
        device = "cuda" if _gpus() else "cpu"
    if device == "cpu":
        return [_cpu(number) for number in range(workers or cores())]
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise BenchError(f"unknown device {device!r}; write auto, cpu, cuda or cuda:0")
    gpus = _gpus()
    if not gpus:
        raise BenchError(f"--device {device}: torch finds no GPU here; bench doctor shows what it sees")
    chosen = gpus if device == "cuda" else gpus[int(device[5:]) : int(device[5:]) + 1]
    if not chosen:
        raise BenchError(f"--device {device}: there are {len(gpus)} GPUs, cuda:0 to cuda:{len(gpus) - 1}")
    return [_gpu(chosen[number % len(chosen)], number) for number in range(workers or len(chosen))]


def _threads(count: int) -> dict[str, str]:
    return {f"{library}_NUM_THREADS": str(count) for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}


def _cpu(number: int) -> Slot:
    # one thread a slot: the same sums in the same order, whatever the number of slots
    return Slot(f"cpu:{number}", "cpu", {**_threads(1), "CUDA_VISIBLE_DEVICES": ""})


def _gpu(identity: str, number: int) -> Slot:
    return Slot(f"gpu:{identity}#{number}", "cuda:0", {**_threads(1), "CUDA_VISIBLE_DEVICES": identity})


def _gpus() -> list[str]:
    """What to put into CUDA_VISIBLE_DEVICES for each GPU that is visible here; a batch system's choice is kept."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = [part.strip() for part in visible.split(",") if part.strip()] if visible else []
    return named[:count] if named else [str(number) for number in range(count)]
