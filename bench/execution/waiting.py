"""What a run still has to do, in order."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Hashable, Iterable

from bench.execution.messages import Task

AGAIN_SECONDS = 2.0
"""After how long a task that was put back comes again."""


class Waiting:
    """Tasks in order. What is put back, since another run does it, comes again after a while, before the others.

    Tasks that share a fit all go to whoever took the first of them; those of others do not wait for that. Several
    threads may take from it at once.
    """

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._tasks = collections.deque(tasks)
        self._later: collections.deque[tuple[float, Task]] = collections.deque()
        self._fitting: dict[str, Hashable] = {}
        """Who has the tasks of which fit."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tasks) + len(self._later)

    def take(self, taker: Hashable = None) -> Task | None:
        """The next task for somebody; None where there is none, or none for now. Without a name, whatever is next."""
        with self._lock:
            if self._later and self._later[0][0] <= time.monotonic():
                return self._later.popleft()[1]
            for place, task in enumerate(self._tasks):
                if not task.shares_fit or self._fitting.setdefault(task.job.fit_key, taker) == taker:
                    del self._tasks[place]
                    return task
            return None

    def put_back(self, task: Task) -> None:
        """Have a task come again."""
        with self._lock:
            self._later.append((time.monotonic() + AGAIN_SECONDS, task))
