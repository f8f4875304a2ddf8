"""Slots: where one job runs at a time. One CPU core each, or a share of one GPU."""

from __future__ import annotations

import collections
import contextlib
import math
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.device import CUBLAS_WORKSPACE, Card, Kind, cards, cores, gpus, kind
from bench.errors import BenchError

JobsPerGpu = int | Literal["auto"]

Need = Callable[[], float | None]
"""How many bytes of a GPU a job needs, as far as is known by now."""

CONTEXT_BYTES = 700_000_000
"""What a process takes of a GPU before it computes anything."""
LEAST_BYTES = 2_000_000_000
"""GPU memory below which another slot is not worth opening."""
MOST_SLOTS = 16
"""Slots of one GPU; more would wait for each other's kernels."""
TICK_SECONDS = 0.1
"""How often somebody who waits looks whether the run should stop."""


class Interrupted(Exception):
    """The run was asked to stop; the task that was under way left nothing behind."""


@dataclass(eq=False)
class Hold:
    """A job's part of a GPU: its bytes, and how many jobs at most have been there at once."""

    bytes: int
    most: int = 1


class Gpu:
    """The memory of one GPU, which its jobs share. Who asks first is served first, so that a large job gets its turn.

    ``capacity`` is in bytes, or where ``share`` says what every job counts for, in whatever unit that is. Whole ones:
    sums of them come out again. A job of which nothing is known counts for an equal part of ``slots``.
    """

    def __init__(self, identity: str, capacity: int, share: int | None = None, slots: int = 1) -> None:
        self.identity = identity
        self.capacity = capacity
        self._share = share
        self._equal_part = max(1, capacity // slots)
        self._free = capacity
        self._changed = threading.Condition()
        self._queue: collections.deque[object] = collections.deque()
        self._holds: set[Hold] = set()

    @contextlib.contextmanager
    def held(self, need: Need, stop: threading.Event, alone: bool = False) -> Iterator[Hold]:
        """A block that has what the job needs of the GPU for itself, or all of it. Raises Interrupted when stopped.

        The job is asked anew whenever something changes: what it needs may be known by then.
        """
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            while self._queue[0] is not ticket or self._free < (asked := self._asked(need, alone)):
                if stop.is_set():
                    self._queue.remove(ticket)
                    self._changed.notify_all()
                    raise Interrupted
                self._changed.wait(TICK_SECONDS)
            self._queue.popleft()
            self._free -= asked
            hold = Hold(asked)
            self._holds.add(hold)
            for each in self._holds:
                each.most = max(each.most, len(self._holds))
            self._changed.notify_all()
        try:
            yield hold
        finally:
            with self._changed:
                self._free += hold.bytes
                self._holds.remove(hold)
                self._changed.notify_all()

    def _asked(self, need: Need, alone: bool) -> int:
        if alone:
            return self.capacity
        if self._share is not None:
            return self._share
        wanted = need()
        return math.ceil(min(self._equal_part if wanted is None else wanted, self.capacity))


@dataclass(frozen=True)
class Slot:
    """A place for one worker: its name, the torch device as the worker sees it, the worker's environment, its GPU."""

    name: str
    device: str = "cpu"
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    gpu: Gpu | None = field(default=None, compare=False)

    @property
    def kind(self) -> Kind:
        return kind(self.device)

    def held(
        self, need: Need, stop: threading.Event, alone: bool = False
    ) -> contextlib.AbstractContextManager[Hold | None]:
        """The block in which a job may run; on a GPU it waits for the memory."""
        return self.gpu.held(need, stop, alone) if self.gpu is not None else contextlib.nullcontext()

    def without_gpu(self) -> Slot:
        """The core that its worker runs on, for when there is nothing left to do on the GPU."""
        return self if self.kind == "cpu" else cpu_slot(f"cpu@{self.name}")


def find_slots(device: str = "auto", workers: int | None = None, jobs_per_gpu: JobsPerGpu = "auto") -> list[Slot]:
    """The slots for ``--device`` (auto, cpu, cuda, cuda:N), ``--workers`` and ``--jobs-per-gpu``.

    ``auto`` jobs per GPU: as many as its free memory holds, by what past records or the method say that each needs.
    Beside those on GPUs there are slots on the cores that are left, at least one, for what needs no GPU. Raises
    BenchError for a device that is not there or has no room.
    """
    require_counts(workers, jobs_per_gpu)
    require_device(device)
    there = gpus() if device != "cpu" else []
    if device == "cpu" or (device == "auto" and not there):
        return [cpu_slot(f"cpu:{number}") for number in range(workers or cores())]
    if not there:
        raise BenchError(f"--device {device}: torch finds no GPU here; bench doctor shows what it sees")
    chosen = there[int(device[5:]) : int(device[5:]) + 1] if ":" in device else there
    if not chosen:
        raise BenchError(f"--device {device}: there are {len(there)} GPUs, cuda:0 to cuda:{len(there) - 1}")
    on_gpus = _gpu_slots(cards(chosen), jobs_per_gpu)
    beside = [cpu_slot(f"cpu:{number}") for number in range(max(1, cores() - len(on_gpus)))]
    return [*on_gpus, *beside][:workers]


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
    own = {} if "CUBLAS_WORKSPACE_CONFIG" in os.environ else CUBLAS_WORKSPACE
    return Slot(name, "cuda:0", {**_threads(1), **own, "CUDA_VISIBLE_DEVICES": identity}, gpu)


def _threads(count: int) -> dict[str, str]:
    return {f"{library}_NUM_THREADS": str(count) for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}


def _gpu_slots(found: Sequence[Card], jobs_per_gpu: JobsPerGpu) -> list[Slot]:
    """Slots in turn on one GPU after the other, so that a few of them use all GPUs."""
    if problems := [f"GPU {card.identity} does not answer: {card.problem}" for card in found if card.problem]:
        raise BenchError("\n".join([*problems, "leave it out by CUDA_VISIBLE_DEVICES, or use --device cpu"]))
    counts = [_jobs_on(card, len(found), jobs_per_gpu) for card in found]
    if not any(counts):
        full = ", ".join(f"GPU {card.identity} {card.free / 1e9:.1f} of {card.total / 1e9:.1f} GB" for card in found)
        raise BenchError(
            f"no GPU has {LEAST_BYTES / 1e9:g} GB free: {full}; wait for whoever uses them, name how many jobs should "
            "try nevertheless with --jobs-per-gpu, or use --device cpu"
        )
    shared = [(_shared(card, count, jobs_per_gpu), count) for card, count in zip(found, counts, strict=True)]
    return [
        gpu_slot(f"gpu:{gpu.identity}#{number}", gpu.identity, gpu)
        for number in range(max(counts))
        for gpu, count in shared
        if number < count
    ]


def _jobs_on(card: Card, gpus: int, jobs_per_gpu: JobsPerGpu) -> int:
    """How many slots a GPU has."""
    if jobs_per_gpu != "auto":
        if card.exclusive and jobs_per_gpu > 1:
            raise BenchError(
                f"--jobs-per-gpu {jobs_per_gpu}: GPU {card.identity} takes one process at a time (compute mode "
                "EXCLUSIVE_PROCESS); use --jobs-per-gpu 1, or start MPS: docs/clusters.md"
            )
        return jobs_per_gpu
    if card.exclusive:
        return 1
    return min(max(1, cores() // gpus), MOST_SLOTS, card.free // LEAST_BYTES)


def _shared(card: Card, slots: int, jobs_per_gpu: JobsPerGpu) -> Gpu:
    if jobs_per_gpu != "auto":
        return Gpu(card.identity, capacity=slots, share=1)
    return Gpu(card.identity, capacity=max(card.free - slots * CONTEXT_BYTES, 1), slots=max(1, slots))
