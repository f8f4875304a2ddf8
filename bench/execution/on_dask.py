"""Dask: every task takes one thread of a Dask worker while its job runs, or a share of its GPU."""

from __future__ import annotations

import collections
import contextlib
import pickle
import time
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.device import Kind, kind
from bench.errors import BenchError
from bench.execution.cluster import News, NodeLost, device_and_share, release, serve
from bench.execution.messages import Outcome, Task
from bench.execution.slots import JobsPerGpu

ANSWER_SECONDS = 30.0
"""How long the scheduler may take to answer."""
POLL_SECONDS = 0.01
SILENCE = (OSError, TimeoutError, RuntimeError)
"""What a client raises without its scheduler; RuntimeError once it has given up the connection."""


@contextlib.contextmanager
def connected(address: str | None, device: str, jobs_per_gpu: JobsPerGpu) -> Iterator[DaskEngine]:
    """The Dask cluster whose scheduler is at an address; without one, Dask starts one on this machine.

    Raises BenchError where Dask is not installed or the scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise BenchError("--executor dask needs Dask; pip install 'oneclass-bench[dask]'") from error
    try:
        client = Client(address, timeout=ANSWER_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise BenchError(
            f"no Dask scheduler answers at {address}: {error}; start one with: dask scheduler, and on each node: "
            "dask worker ADDRESS"
        ) from error
    with client:
        engine = DaskEngine(client, device, jobs_per_gpu)
        try:
            yield engine
        finally:
            # a client that has given up its scheduler has lost the attributes that this asks for
            with contextlib.suppress(AttributeError, *SILENCE):
                client.run(release, on_error="ignore")


class DaskEngine:
    """A Dask cluster that this process is a client of."""

    def __init__(self, client: Any, device: str, jobs_per_gpu: JobsPerGpu) -> None:
        self._client = client
        self.silence = SILENCE
        self.address = f"Dask at {client.scheduler.address}"
        gpus = sum(gpus for _, gpus in _asked(client, _resources))
        without = f"no worker of {self.address} was started with --resources GPU=1"
        self.device, self._share = device_and_share(device, gpus, jobs_per_gpu, without)
        self._topic = f"bench-{uuid.uuid4().hex}"
        self._news: collections.deque[News] = collections.deque()
        client.subscribe_topic(self._topic, lambda event: self._news.append(pickle.loads(event[1])))

    def room(self) -> Mapping[Kind, int]:
        workers = _asked(self._client, _resources)
        threads, gpus = (sum(each) for each in zip(*workers, strict=True)) if workers else (0, 0.0)
        return {"cpu": int(threads), "cuda": int(gpus / self._share)}

    def submit(self, task: Task, alone: bool) -> Hashable:
        key = f"{task.job.key}-{uuid.uuid4().hex[:8]}"
        share = {"GPU": 1.0 if alone else self._share} if kind(task.device) == "cuda" else None
        handle: Hashable = self._client.submit(_serve, task, self._topic, key, key=key, pure=False, resources=share)
        return handle

    def finished(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        # the client keeps their states up to date by itself
        deadline = time.monotonic() + seconds
        while not (done := [handle for handle in handles if handle.done()]) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return done

    def outcome(self, handle: Any) -> Outcome:
        from distributed import CancelledError, KilledWorker

        try:
            outcome: Outcome = handle.result()
        except (KilledWorker, CancelledError) as error:
            raise NodeLost(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
        finally:
            handle.release()  # or Dask would do it again if the node that holds the result is lost
        return outcome

    def news(self) -> Iterable[News]:
        while self._news:
            yield self._news.popleft()

    def cancel(self, handles: Sequence[Any]) -> None:
        if handles:
            self._client.cancel(list(handles), force=True)


def _asked(client: Any, question: Callable[..., Any]) -> Any:
    """What the scheduler answers. Raises OSError where the client has given it up."""
    try:
        return client.run_on_scheduler(question)
    except AttributeError as error:
        if client.scheduler is None:
            raise OSError("the connection to the scheduler is lost") from error
        raise


def _resources(dask_scheduler: Any) -> list[tuple[int, float]]:
    """Threads and GPUs of each worker, as the scheduler knows them."""
    return [(worker.nthreads, worker.resources.get("GPU", 0.0)) for worker in dask_scheduler.workers.values()]


def _serve(task: Task, topic: str, key: str) -> Outcome:
    """Runs in a thread of a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    # pickled, as Dask's events hold nothing but what msgpack knows
    return serve(task, _Cancelled(worker, key), lambda news: worker.log_event(topic, pickle.dumps(news)))


class _Cancelled:
    """Whether nobody waits for a task any more: it was cancelled, or the driver is gone.

    Dask ends no thread; that the scheduler has let go of the task shows in the worker's own state.
    """

    def __init__(self, worker: Any, key: str) -> None:
        self._worker = worker
        self._key = key

    def is_set(self) -> bool:
        task = self._worker.state.tasks.get(self._key)
        return task is None or task.state == "cancelled"
