"""What a run still has to do, in order."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Iterable

from bench.execution.messages import Task

AGAIN_SECONDS = 2.0
"""After how long a task that was put back comes again."""


class Waiting:
    """Tasks in order. What is put back, since another run does it, comes again after a while, before the others.

    Several threads may take from it at once.
    """

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._tasks = collections.deque(tasks)
        self._later: collections.deque[tuple[float, Task]] = collections.deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tasks) + len(self._later)

    def take(self) -> Task | None:
        """The next task; None where there is none, or none for now."""
        with self._lock:
            if self._later and self._later[0][0] <= time.monotonic():
                return self._later.popleft()[1]
            return self._tasks.popleft() if self._tasks else None

    def put_back(self, task: Task) -> None:
        """Have a task come again."""
        with self._lock:
            self._later.append((time.monotonic() + AGAIN_SECONDS, task))
