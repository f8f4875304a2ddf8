"""The local executor: one thread a slot, each with a supervisor, all drawing from the tasks that wait."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.device import Kind, kind
from bench.execution.executor import Watch
from bench.execution.messages import Outcome, Task
from bench.execution.slots import TICK_SECONDS, Interrupted, Slot
from bench.execution.supervisor import Supervisor
from bench.execution.waiting import Waiting


@dataclass(frozen=True)
class Local:
    """The slots of this machine."""

    places: Sequence[Slot]

    @property
    def device(self) -> str:
        return self.places[0].kind

    @property
    def slots(self) -> int:
        return len(self.places)

    @property
    def place(self) -> str:
        return "this machine"

    def execute(self, tasks: Sequence[Task], stop: threading.Event, watch: Watch) -> None:
        from joblib import Parallel, delayed

        queues: dict[Kind, list[Task]] = {"cpu": [], "cuda": []}
        for task in tasks:
            queues[kind(task.device) if self.device == "cuda" else "cpu"].append(task)
        waiting = {on: Waiting(queue) for on, queue in queues.items()}
        used = self.places[: max(1, len(tasks))]
        Parallel(n_jobs=len(used), backend="threading")(delayed(_serve)(slot, waiting, stop, watch) for slot in used)


def _serve(slot: Slot, waiting: Mapping[Kind, Waiting], stop: threading.Event, watch: Watch) -> None:
    """Do what waits for such a slot, then what waits for a core alone."""
    try:
        for place in (slot, slot.without_gpu()):
            with Supervisor(place) as supervisor:
                while waiting[place.kind] and not stop.is_set():
                    task = waiting[place.kind].take(slot.name)
                    if task is None:  # another run does what is left
                        stop.wait(TICK_SECONDS)
                        continue
                    admission = watch.admit(task)
                    if admission == "now":
                        outcome, attempts = _outcome(task, supervisor, stop, watch)
                        watch.ended(task, outcome, attempts)
                    elif admission == "later":
                        waiting[place.kind].put_back(task)
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
        with slot.held(lambda: watch.gpu_memory(task), stop, alone) as hold:
            watch.started(slot.name, task)
            outcome = supervisor.run(task, lambda epoch: watch.epoch(task, epoch), stop)
        if hold is not None:
            outcome = dataclasses.replace(outcome, provenance={**outcome.provenance, "gpu_jobs": hold.most})
        if alone or not outcome.worth_repeating:
            break
        attempts.append(outcome.as_attempt)
    return outcome, attempts
