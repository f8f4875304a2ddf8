"""Ray: every task is a Ray task, which holds a processor core or a share of a GPU while its job runs."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.device import Kind, kind
from bench.errors import BenchError
from bench.execution.cluster import News, NodeLost, NodeUnfit, device_and_share, serve
from bench.execution.messages import Outcome, Task
from bench.execution.slots import JobsPerGpu


@contextlib.contextmanager
def connected(address: str | None, device: str, jobs_per_gpu: JobsPerGpu) -> Iterator[RayEngine]:
    """The Ray cluster at an address, else at $RAY_ADDRESS; without either, Ray starts one on this machine.

    Raises BenchError where Ray is not installed or does not answer.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        _require_token()
    try:
        import ray
    except ImportError as error:
        raise BenchError("--executor ray needs Ray; pip install 'oneclass-bench[ray]'") from error
    try:
        info = ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    except Exception as error:  # Ray raises whatever its parts raise
        raise BenchError(f"no Ray cluster answers at {address}: {error}; start one with: ray start --head") from error
    try:
        yield RayEngine(str(info.address_info.get("gcs_address") or address), device, jobs_per_gpu)
    finally:
        ray.shutdown()


class Mailbox:
    """An actor that keeps what nodes tell until the driver asks."""

    def __init__(self) -> None:
        self._news: list[News] = []

    def put(self, news: News) -> None:
        self._news.append(news)

    def take(self) -> list[News]:
        taken, self._news = self._news, []
        return taken


class RayEngine:
    """A Ray cluster that this process is connected to."""

    def __init__(self, address: str, device: str, jobs_per_gpu: JobsPerGpu) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        gpus = ray.cluster_resources().get("GPU", 0.0)
        self.address = f"Ray at {address}"
        self.silence = (ray.exceptions.RayError, ConnectionError)
        without = f"the Ray cluster at {address} has no GPU"
        self.device, self._share = device_and_share(device, gpus, jobs_per_gpu, without)
        # beside the driver, for a lost node not to take it along
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._mailbox: Any = ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(Mailbox).remote()
        self._serve: Any = ray.remote(max_retries=0)(_serve)

    def room(self) -> Mapping[Kind, int]:
        import ray

        total = ray.cluster_resources()
        return {"cpu": int(total.get("CPU", 0.0)), "cuda": int(total.get("GPU", 0.0) / self._share)}

    def submit(self, task: Task, alone: bool) -> Hashable:
        share = 1.0 if alone else self._share
        needs = {"num_gpus": share, "num_cpus": 0} if kind(task.device) == "cuda" else {"num_cpus": 1}
        handle: Hashable = self._serve.options(**needs).remote(task, self._mailbox)
        return handle

    def finished(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        import ray

        ready, _ = ray.wait(list(handles), num_returns=1, timeout=seconds, fetch_local=False)
        return list(ready)

    def outcome(self, handle: Any) -> Outcome:
        import ray

        try:
            outcome: Outcome = ray.get(handle)
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, NodeUnfit) else error from None
        except ray.exceptions.RayError as error:
            raise NodeLost(str(error).partition("\n")[0]) from error
        return outcome

    def news(self) -> Iterable[News]:
        import ray

        try:
            taken: list[News] = ray.get(self._mailbox.take.remote(), timeout=10)
        except ray.exceptions.RayError:  # the actor is being started again; progress is all that waits for it
            return []
        return taken

    def cancel(self, handles: Sequence[Any]) -> None:
        import ray

        for handle in handles:
            ray.cancel(handle, force=True)


def _serve(task: Task, mailbox: Any) -> Outcome:
    """Runs in a process of Ray's, which Ray kills to cancel; its worker then ends by itself."""
    return serve(task, threading.Event(), lambda news: mailbox.put.remote(news))


def _require_token() -> None:
    """Have the cluster that Ray is about to start refuse whoever does not know a token: Ray listens on every network
    interface and runs what it is sent. It reads this when it is imported; raises BenchError where that is past."""
    if "RAY_AUTH_MODE" not in os.environ:
        if "ray" in sys.modules:
            raise BenchError(
                "Ray was imported, by a plugin perhaps, before bench could have its cluster ask for a token; set one "
                "yourself: export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$(openssl rand -hex 32)"
            )
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
