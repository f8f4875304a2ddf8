"""The local executor: one thread a slot, each with a supervisor, all drawing from one queue of tasks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from bench.execution.messages import Outcome, Task
from bench.execution.slots import Slot
from bench.execution.supervisor import Interrupted, Supervisor
from bench.method import Epoch

Begin = Callable[[Slot, Task], bool]
"""Called before a task; False leaves it out (another run has done it meanwhile)."""
OnEpoch = Callable[[Slot, Epoch], None]
End = Callable[[Slot, Task, Outcome, list[dict[str, Any]]], None]
"""Called with a task's outcome and its earlier attempts."""


def execute(
    tasks: Sequence[Task], slots: Sequence[Slot], stop: threading.Event, begin: Begin, on_epoch: OnEpoch, end: End
) -> None:
    """Run every task once, in order, as slots become free. Returns early, all workers ended, when ``stop`` is set.

    The callbacks are called from the slots' threads. What they raise stops the run and is raised here.
    """
    from joblib import Parallel, delayed

    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)

    def serve(slot: Slot) -> None:
        try:
            with Supervisor(slot, stop) as supervisor:
                while not stop.is_set():
                    try:
                        task = waiting.get_nowait()
                    except queue.Empty:
                        return
                    if begin(slot, task):
                        outcome, attempts = supervisor.run(task, lambda epoch: on_epoch(slot, epoch))
                        end(slot, task, outcome, attempts)
        except Interrupted:
            return
        except BaseException:
            stop.set()
            raise

    used = slots[: max(1, len(tasks))]
    Parallel(n_jobs=len(used), backend="threading")(delayed(serve)(slot) for slot in used)
