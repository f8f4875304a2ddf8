"""What an executor is: the places where jobs run, on this machine or on a cluster, and whom it tells of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

from bench.errors import BenchError
from bench.execution.messages import Outcome, Task
from bench.execution.slots import JobsPerGpu, find_slots, require_counts, require_device
from bench.method import Epoch

Kind = Literal["local", "ray", "dask"]


class Watch(Protocol):
    """Whom an executor asks and tells. The methods may be called from several threads."""

    def admit(self, task: Task) -> bool:
        """Whether the task is to be run, now that there is a place for it; it may have been done elsewhere."""

    def gpu_memory(self, task: Task) -> float:
        """Bytes of GPU memory that the task will need, as far as is known; infinite where nothing is."""

    def started(self, slot: str, task: Task) -> None:
        """The task runs in a slot. Once more where it was started again."""

    def epoch(self, task: Task, epoch: Epoch) -> None:
        """The task has finished an epoch."""

    def ended(self, task: Task, outcome: Outcome, attempts: list[dict[str, Any]]) -> None:
        """The task has its outcome, after these earlier attempts."""


class Executor(Protocol):
    """Where jobs run."""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""

    @property
    def slots(self) -> int:
        """How many jobs run at a time."""

    @property
    def place(self) -> str:
        """Where that is, in a few words."""

    def execute(self, tasks: Sequence[Task], stop: threading.Event, watch: Watch) -> None:
        """Run every task, in order, as slots become free.

        Returns early, every process ended, when ``stop`` is set. What ``watch`` raises stops the run and comes out.
        """


@contextlib.contextmanager
def open_executor(
    kind: Kind = "local",
    address: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    jobs_per_gpu: JobsPerGpu = "auto",
) -> Iterator[Executor]:
    """The executor for ``--executor``, ``--address``, ``--device``, ``--workers`` and ``--jobs-per-gpu``.

    Raises BenchError for a device that is not there or a cluster that does not answer.
    """
    if kind == "local":
        from bench.execution.local import Local  # it needs the protocols of this module

        if address is not None:
            raise BenchError(f"--address {address} goes with --executor ray or dask")
        yield Local(find_slots(device, workers, jobs_per_gpu))
        return
    from bench.execution import on_dask, on_ray
    from bench.execution.cluster import Cluster

    require_device(device)
    require_counts(workers, jobs_per_gpu)
    connected = on_ray.connected if kind == "ray" else on_dask.connected
    with connected(address, device, jobs_per_gpu) as engine:
        yield Cluster(engine, workers)
