"""Slots: where one job runs at a time. One CPU core each, or a share of one GPU."""

from __future__ import annotations

import collections
import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.errors import BenchError

JobsPerGpu = int | Literal["auto"]

CONTEXT_BYTES = 0.7e9
"""What a process takes of a GPU before it computes anything."""
LEAST_BYTES = 2e9
"""GPU memory below which another slot is not worth opening."""
MOST_SLOTS = 16
"""Slots of one GPU; more would wait for each other's kernels."""
TICK_SECONDS = 0.1
"""How often somebody who waits looks whether the run should stop."""

_FREE_BYTES = "import torch; print(torch.cuda.mem_get_info(0)[0])"


class Interrupted(Exception):
    """The run was asked to stop; the task that was under way left nothing behind."""


class Gpu:
    """The memory of one GPU, which its jobs share. Who asks first is served first, so that a large job gets its turn.

    ``share``: bytes that every job counts for; None: what the job itself needs.
    """

    def __init__(self, identity: str, capacity: float, share: float | None = None) -> None:
        self.identity = identity
        self.capacity = capacity
        self._share = share
        self._free = capacity
        self._changed = threading.Condition()
        self._queue: collections.deque[object] = collections.deque()

    @contextlib.contextmanager
    def held(self, need: float, stop: threading.Event, alone: bool = False) -> Iterator[None]:
        """A block that has ``need`` bytes of the GPU for itself, or all of it. Raises Interrupted when stopped."""
        asked = self.capacity if alone else min(self._share or need, self.capacity)
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            while self._queue[0] is not ticket or self._free < asked:
                if stop.is_set():
                    self._queue.remove(ticket)
                    raise Interrupted
                self._changed.wait(TICK_SECONDS)
            self._queue.popleft()
            self._free -= asked
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += asked
                self._changed.notify_all()


@dataclass(frozen=True)
class Slot:
    """A place for one worker: its name, the torch device as the worker sees it, the worker's environment, its GPU."""

    name: str
    device: str = "cpu"
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    gpu: Gpu | None = field(default=None, compare=False)

    def held(self, need: float, stop: threading.Event, alone: bool = False) -> contextlib.AbstractContextManager[None]:
        """The block in which a job may run; on a GPU it waits for the memory."""
        return self.gpu.held(need, stop, alone) if self.gpu is not None else contextlib.nullcontext()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_slots(device: str = "auto", workers: int | None = None, jobs_per_gpu: JobsPerGpu = "auto") -> list[Slot]:
    """The slots for ``--device`` (auto, cpu, cuda, cuda:N), ``--workers`` and ``--jobs-per-gpu``.

    ``auto`` jobs per GPU: as many as its free memory holds, by what past records or the method say that each needs; a
    job of which nothing is known has the GPU to itself. Raises BenchError for a device that is not there.
    """
    require_counts(workers, jobs_per_gpu)
    require_device(device)
    gpus = _gpus() if device != "cpu" else []
    if device == "cpu" or (device == "auto" and not gpus):
        return [cpu_slot(f"cpu:{number}") for number in range(workers or cores())]
    if not gpus:
        raise BenchError(f"--device {device}: torch finds no GPU here; bench doctor shows what it sees")
    chosen = gpus[int(device[5:]) : int(device[5:]) + 1] if ":" in device else gpus
    if not chosen:
        raise BenchError(f"--device {device}: there are {len(gpus)} GPUs, cuda:0 to cuda:{len(gpus) - 1}")
    return _gpu_slots(chosen, workers, jobs_per_gpu)


def require_device(device: str) -> None:
    """Raise BenchError for what is no ``--device``."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise BenchError(f"unknown device {device!r}; write auto, cpu, cuda or cuda:0")


def require_counts(workers: int | None, jobs_per_gpu: JobsPerGpu) -> None:
    """Raise BenchError for what is no ``--workers`` or ``--jobs-per-gpu``."""
    if workers is not None and workers < 1:
        raise BenchError(f"--workers must be at least 1, not {workers}")
    if jobs_per_gpu != "auto" and jobs_per_gpu < 1:
        raise BenchError(f"--jobs-per-gpu must be auto or at least 1, not {jobs_per_gpu}")


def cpu_slot(name: str) -> Slot:
    """A slot on one core, which sees no GPU."""
    # one thread a slot: the same sums in the same order, whatever the number of slots
    return Slot(name, "cpu", {**_threads(1), "CUDA_VISIBLE_DEVICES": ""})


def gpu_slot(name: str, identity: str, gpu: Gpu | None = None) -> Slot:
    """A slot on the GPU that ``identity`` names in CUDA_VISIBLE_DEVICES."""
    return Slot(name, "cuda:0", {**_threads(1), "CUDA_VISIBLE_DEVICES": identity}, gpu)


def _threads(count: int) -> dict[str, str]:
    return {f"{library}_NUM_THREADS": str(count) for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}


def _gpu_slots(identities: Sequence[str], workers: int | None, jobs_per_gpu: JobsPerGpu) -> list[Slot]:
    """Slots in turn on one GPU after the other, so that a few of them use all GPUs."""
    shared = [_shared(identity, len(identities), jobs_per_gpu) for identity in identities]
    slots = [
        gpu_slot(f"gpu:{gpu.identity}#{number}", gpu.identity, gpu)
        for number in range(max(count for _, count in shared))
        for gpu, count in shared
        if number < count
    ]
    return slots[:workers]


def _shared(identity: str, gpus: int, jobs_per_gpu: JobsPerGpu) -> tuple[Gpu, int]:
    """A GPU and how many slots it has."""
    if jobs_per_gpu != "auto":
        return Gpu(identity, capacity=float(jobs_per_gpu), share=1.0), jobs_per_gpu
    free = _free_bytes(identity)
    slots = max(1, min(cores() // gpus, MOST_SLOTS, int(free // LEAST_BYTES)))
    return Gpu(identity, capacity=max(free - slots * CONTEXT_BYTES, 1.0)), slots


def _free_bytes(identity: str) -> float:
    """Free memory of a GPU, asked in a process of its own: asking would hold some of it for good."""
    answer = subprocess.run(
        [sys.executable, "-P", "-c", _FREE_BYTES],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": identity},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise BenchError(f"GPU {identity} does not answer: {last[0]}; name its --jobs-per-gpu, or use --device cpu")
    return float(answer.stdout)


def _gpus() -> list[str]:
    """What to put into CUDA_VISIBLE_DEVICES for each GPU that is visible here; a batch system's choice is kept."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = [part.strip() for part in visible.split(",") if part.strip()] if visible else []
    return named[:count] if named else [str(number) for number in range(count)]
