"""The local executor: one thread a slot, each with a supervisor, all drawing from one queue of tasks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.execution.executor import Watch
from bench.execution.messages import Outcome, Task
from bench.execution.slots import Interrupted, Slot
from bench.execution.supervisor import Supervisor


@dataclass(frozen=True)
class Local:
    """The slots of this machine."""

    places: Sequence[Slot]

    @property
    def device(self) -> str:
        return self.places[0].device.partition(":")[0]

    @property
    def slots(self) -> int:
        return len(self.places)

    @property
    def place(self) -> str:
        return "this machine"

    def execute(self, tasks: Sequence[Task], stop: threading.Event, watch: Watch) -> None:
        from joblib import Parallel, delayed

        waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        used = self.places[: max(1, len(tasks))]
        Parallel(n_jobs=len(used), backend="threading")(delayed(_serve)(slot, waiting, stop, watch) for slot in used)


def _serve(slot: Slot, waiting: queue.SimpleQueue[Task], stop: threading.Event, watch: Watch) -> None:
    try:
        with Supervisor(slot) as supervisor:
            while not stop.is_set():
                try:
                    task = waiting.get_nowait()
                except queue.Empty:
                    return
                if watch.admit(task):
                    outcome, attempts = _outcome(task, supervisor, stop, watch)
                    watch.ended(task, outcome, attempts)
    except Interrupted:
        return
    except BaseException:
        stop.set()
        raise


def _outcome(
    task: Task, supervisor: Supervisor, stop: threading.Event, watch: Watch
) -> tuple[Outcome, list[dict[str, Any]]]:
    """What a task came to, and its earlier attempts. The second attempt has its GPU to itself."""
    slot, attempts = supervisor.slot, []
    for alone in (False, True):
        with slot.held(watch.gpu_memory(task), stop, alone):
            watch.started(slot.name, task)
            outcome = supervisor.run(task, lambda epoch: watch.epoch(task, epoch), stop)
        if alone or not outcome.worth_repeating:
            break
        attempts.append(outcome.as_attempt)
    return outcome, attempts
