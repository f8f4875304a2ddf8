"""Opening the executor that a command asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.errors import BenchError
from bench.execution import on_dask, on_ray
from bench.execution.cluster import Cluster
from bench.execution.executor import Executor, Kind
from bench.execution.local import Local
from bench.execution.slots import JobsPerGpu, find_slots, require_counts, require_device


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
        if address is not None:
            raise BenchError(f"--address {address} goes with --executor ray or dask")
        yield Local(find_slots(device, workers, jobs_per_gpu))
        return
    require_device(device)
    require_counts(workers, jobs_per_gpu)
    connected = on_ray.connected if kind == "ray" else on_dask.connected
    with connected(address, device, jobs_per_gpu) as engine:
        yield Cluster(engine, workers)
