"""What an executor is: the places where jobs run, on this machine or on a cluster, and whom it tells of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from bench.execution.messages import Outcome, Task
from bench.method import Epoch

Kind = Literal["local", "ray", "dask"]

Admission = Literal["now", "later", "never"]
"""Whether a task is to be run: now; perhaps later, since another run does it; or not any more."""


class Watch(Protocol):
    """Whom an executor asks and tells. The methods may be called from several threads."""

    def admit(self, task: Task) -> Admission:
        """Whether the task is to be run, now that there is a place for it; asked anew of one that is to come later."""

    def gpu_memory(self, task: Task) -> float | None:
        """Bytes of GPU memory that the task will need, as far as is known by now."""

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
