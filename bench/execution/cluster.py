"""Jobs on a cluster: what the driver does whatever the cluster, and what a node does for one task.

The cluster carries supervisors only. Each runs its jobs in worker processes of its own, as on one machine, so that a
crash is that job's record here too; records come back through the driver, which alone writes them.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import socket
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_args

from bench.device import Kind, gpus, kind
from bench.errors import BenchError
from bench.execution.executor import Watch
from bench.execution.messages import Outcome, Task
from bench.execution.slots import JobsPerGpu, Slot, cpu_slot, gpu_slot
from bench.execution.supervisor import Stop, Supervisor
from bench.execution.waiting import Waiting
from bench.fingerprint import source_fingerprint
from bench.method import Epoch
from bench.registry import Registry
from bench.specs import parse_spec
from bench.workspace import open_workspace

LOSSES = 3
"""How often a task is started again because its node was lost."""
WAIT_SECONDS = 0.2
"""How long the driver waits for the next outcome before it looks at the rest."""
LOOK_SECONDS = 2.0
"""How often the driver asks how large the cluster is."""
IDLE_SECONDS = 30.0
"""How long a node keeps a worker for the next task."""
EPOCH_SECONDS = 0.5
"""A node tells the driver of no more than one epoch in so many seconds."""


_KINDS: tuple[Kind, ...] = get_args(Kind)


class NodeLost(Exception):
    """A task has no outcome, because the node or process that ran it is gone."""


class NodeUnfit(BenchError):
    """A node cannot run a task as this machine would: it has other code, or not the data."""


class News(NamedTuple):
    """What a node tells while a task runs: that it has begun, or with an epoch that this is done."""

    key: str
    slot: str
    epoch: Epoch | None = None


class Engine(Protocol):
    """One kind of cluster."""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""

    @property
    def address(self) -> str:
        """Where the cluster is."""

    @property
    def silence(self) -> tuple[type[Exception], ...]:
        """What the other methods raise when the cluster itself does not answer any more."""

    def room(self) -> Mapping[Kind, int]:
        """How many tasks the nodes that are there run at a time, on cores and on GPUs."""

    def submit(self, task: Task, alone: bool) -> Hashable:
        """Hand over a task, which has a GPU to itself where it is alone."""

    def finished(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        """The handles that have come to an end, waiting for one as long as is said."""

    def outcome(self, handle: Any) -> Outcome:
        """What became of a finished task. Raises NodeLost, or what the node raised."""

    def news(self) -> Iterable[News]:
        """What the nodes have told since the last call."""

    def cancel(self, handles: Sequence[Any]) -> None:
        """End these tasks, their processes included."""


def device_and_share(device: str, gpus: float, jobs_per_gpu: JobsPerGpu, without: str) -> tuple[str, float]:
    """What ``--device`` is on a cluster with so many GPUs, and the share of a GPU that a job takes.

    What a GPU's memory holds a cluster does not know, so that ``auto`` is one job a GPU. Raises BenchError, which says
    ``without``, where a GPU is asked for and there is none.
    """
    if device.startswith("cuda") and not gpus:
        raise BenchError(f"--device {device}: {without}")
    return "cuda" if gpus and device != "cpu" else "cpu", 1.0 if jobs_per_gpu == "auto" else 1.0 / jobs_per_gpu


@dataclass
class _Running:
    task: Task
    attempts: list[dict[str, Any]] = field(default_factory=list)
    losses: int = 0


class Cluster:
    """An executor that keeps every place of a cluster busy, as nodes come and go."""

    def __init__(self, engine: Engine, workers: int | None = None) -> None:
        self._engine = engine
        self._workers = workers
        self._room: Mapping[Kind, int] = {}
        self._looked = -LOOK_SECONDS

    @property
    def device(self) -> str:
        return self._engine.device

    @property
    def slots(self) -> int:
        places = sum(self._places().values())
        return places if self._workers is None else min(self._workers, places)

    @property
    def place(self) -> str:
        return self._engine.address

    def execute(self, tasks: Sequence[Task], stop: threading.Event, watch: Watch) -> None:
        waiting = {kind_of: Waiting(t for t in tasks if kind(t.device) == kind_of) for kind_of in _KINDS}
        running: dict[Any, _Running] = {}
        try:
            while (any(waiting.values()) or running) and not stop.is_set():
                while (task := self._next(waiting, running)) is not None and not stop.is_set():
                    admission = watch.admit(task)
                    if admission == "now":
                        running[self._submit(task, alone=False)] = _Running(task)
                    elif admission == "later":
                        waiting[kind(task.device)].put_back(task)
                if not running:  # every node is gone, and may come back; or another run does what is left
                    stop.wait(WAIT_SECONDS)
                    continue
                with self._answering():
                    finished = self._engine.finished(list(running), WAIT_SECONDS)
                under_way = {each.task.job.key: each.task for each in running.values()}
                for news in self._engine.news():
                    if news.key in under_way:
                        _tell(news, under_way[news.key], watch)
                for handle in finished:
                    ended = running.pop(handle)
                    if again := self._again(handle, ended, watch):
                        running[again] = ended
        finally:
            with contextlib.suppress(*self._engine.silence):
                self._engine.cancel(list(running))

    def _places(self) -> Mapping[Kind, int]:
        """Places on GPUs, and on the cores that these leave, one at least where there are any."""
        if time.monotonic() >= self._looked + LOOK_SECONDS:
            with self._answering():
                room, self._looked = self._engine.room(), time.monotonic()
            on_gpus = room["cuda"] if self.device == "cuda" else 0
            self._room = {"cuda": on_gpus, "cpu": max(room["cpu"] - on_gpus, min(1, room["cpu"]))}
        return self._room

    def _next(self, waiting: Mapping[Kind, Waiting], running: Mapping[Any, _Running]) -> Task | None:
        """The next task that there is a place for."""
        if len(running) < self.slots:
            for kind_of, tasks in waiting.items():
                busy = sum(kind(each.task.device) == kind_of for each in running.values())
                if busy < self._places().get(kind_of, 0) and (task := tasks.take()) is not None:
                    return task
        return None

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """A block in which the cluster is asked something."""
        try:
            yield
        except self._engine.silence as error:
            raise BenchError(
                f"{self._engine.address} does not answer any more: {error or type(error).__name__}\n"
                "what has a record is kept; when the cluster is there again, the same command goes on"
            ) from error

    def _again(self, handle: Any, ended: _Running, watch: Watch) -> Hashable | None:
        """The handle of the task's next attempt; None where it has its outcome, which is passed on."""
        try:
            outcome = self._engine.outcome(handle)
        except NodeLost as error:
            ended.losses += 1
            outcome = Outcome("killed", error={"type": "NodeLost", "message": str(error)})
            repeat = ended.losses <= LOSSES
        else:
            repeat = outcome.worth_repeating and len(ended.attempts) == ended.losses
        if not repeat:
            watch.ended(ended.task, outcome, ended.attempts)
            return None
        ended.attempts.append(outcome.as_attempt)
        return self._submit(ended.task, alone=outcome.status == "oom")

    def _submit(self, task: Task, alone: bool) -> Hashable:
        with self._answering():
            return self._engine.submit(task, alone)


def _tell(news: News, task: Task, watch: Watch) -> None:
    if news.epoch is None:
        watch.started(news.slot, task)
    else:
        watch.epoch(task, news.epoch)


# ---------------------------------------------------------------------------------------------------------------------
# On a node


def serve(task: Task, stop: Stop, tell: Callable[[News], None]) -> Outcome:
    """The outcome of a task, done on this node by a supervisor that is kept for the next one.

    Raises NodeUnfit where the node cannot do it, and Interrupted when it is stopped.
    """
    task = _at_home(task)
    supervisor = _POOL.take(kind(task.device), task.job.fit_key)
    last = 0.0

    def on_epoch(epoch: Epoch) -> None:
        nonlocal last
        if time.monotonic() >= last + EPOCH_SECONDS:
            last = time.monotonic()
            tell(News(task.job.key, supervisor.slot.name, epoch))

    try:
        tell(News(task.job.key, supervisor.slot.name))
        outcome = supervisor.run(task, on_epoch, stop)
    except BaseException:
        _POOL.give_up(supervisor)
        raise
    _POOL.give_back(supervisor)
    return outcome


def release() -> None:
    """End the workers that this process keeps for another task."""
    _POOL.close()


class _Pool:
    """The supervisors of a process that are waiting for a task. Who waits for long is ended."""

    def __init__(self) -> None:
        self._idle: list[tuple[Supervisor, threading.Timer]] = []
        self._busy: collections.Counter[str] = collections.Counter()
        """How many supervisors are at work on each GPU."""
        self._lock = threading.Lock()
        self._count = 0

    def take(self, on: Kind, fit_key: str = "") -> Supervisor:
        """A supervisor for a core, or for the GPU of this process that has the least to do; one that has made this fit
        before any other."""
        named = _gpus_of_node() if on == "cuda" else [""]
        with self._lock:
            gpu = min(named, key=lambda name: self._busy[name])
            self._busy[gpu] += 1
            there = [each for each in self._idle if _gpu_of(each[0]) == gpu]
            if chosen := min(there, key=lambda each: each[0].fit_key != fit_key, default=None):
                self._idle.remove(chosen)
                supervisor, timer = chosen
                timer.cancel()
                return supervisor
            self._count += 1
            return Supervisor(_slot(f"{socket.gethostname()}#{os.getpid()}.{self._count}", gpu))

    def give_back(self, supervisor: Supervisor) -> None:
        timer = threading.Timer(IDLE_SECONDS, self._end, [supervisor])
        timer.daemon = True
        with self._lock:
            self._busy[_gpu_of(supervisor)] -= 1
            self._idle.append((supervisor, timer))
        timer.start()

    def give_up(self, supervisor: Supervisor) -> None:
        """End one that is not to be used again."""
        with self._lock:
            self._busy[_gpu_of(supervisor)] -= 1
        supervisor.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for supervisor, timer in idle:
            timer.cancel()
            supervisor.close()

    def _end(self, supervisor: Supervisor) -> None:
        with self._lock:
            left = [each for each in self._idle if each[0] is not supervisor]
            taken, self._idle = len(left) == len(self._idle), left
        if not taken:
            supervisor.close()


_POOL = _Pool()


def _slot(name: str, gpu: str) -> Slot:
    return gpu_slot(f"gpu:{gpu}@{name}", gpu) if gpu else cpu_slot(f"cpu@{name}")


def _gpu_of(supervisor: Supervisor) -> str:
    return supervisor.slot.environment["CUDA_VISIBLE_DEVICES"]


@functools.cache
def _gpus_of_node() -> list[str]:
    """The GPUs that this process of the cluster may use: those that it was given, or the only one there is.

    Raises NodeUnfit where there is none, or none was chosen of several, which another process would choose too.
    """
    found = gpus()
    if not found:
        raise NodeUnfit(f"node {socket.gethostname()} is to compute on a GPU, and torch finds none there")
    if len(found) > 1 and not os.environ.get("CUDA_VISIBLE_DEVICES"):
        raise NodeUnfit(
            f"node {socket.gethostname()} has {len(found)} GPUs, and its worker was given none of them: start a worker "
            "for each, with CUDA_VISIBLE_DEVICES=0 and so on"
        )
    return found


def _at_home(task: Task) -> Task:
    """The task with this node's own copy of the data where it does not share the driver's.

    A node that would do other than the driver asks for is refused before it takes one job after the other and fails.
    """
    host = socket.gethostname()
    try:
        if _fingerprint(task.job.method, tuple(task.plugin_folders)) != task.job.fingerprint:
            raise NodeUnfit(
                f"node {host} has other code of {task.job.method} than the machine that started the run; "
                "install the same version of bench and the same plugins on every node"
            )
        if task.dataset_folder.is_dir():
            return task
        return dataclasses.replace(task, dataset_folder=_dataset_folder(task.job.dataset))
    except NodeUnfit:
        raise
    except BenchError as error:
        raise NodeUnfit(f"node {host} cannot run {task.job.title}: {error}") from error


@functools.lru_cache(maxsize=64)
def _fingerprint(method: str, plugin_folders: tuple[str, ...]) -> str:
    registry = Registry("method", [Path(folder) for folder in plugin_folders])
    return source_fingerprint(registry.find(method))


@functools.lru_cache(maxsize=16)
def _dataset_folder(dataset: str) -> Path:
    """This node's prepared copy, from the files in its own data folder ($BENCH_DATA)."""
    return open_workspace().dataset(parse_spec(dataset)).folder
