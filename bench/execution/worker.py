"""The worker: a child process that does task after task for one supervisor, over a pipe.

``python -m bench.execution.worker FD`` talks over the inherited file descriptor FD. What a plugin prints goes to the
process's own output, which the supervisor reads apart; the pipe carries nothing but messages.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection

from bench.execution import errands
from bench.execution.fits import Fits
from bench.execution.measurement import measure
from bench.execution.messages import Errand, Ready, Task
from bench.execution.processes import family, kill


def main(descriptor: int) -> None:
    """Do tasks until the supervisor closes its end."""
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    tasks: queue.SimpleQueue[Task | Errand] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()

    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    connection.send(Ready())
    fits = Fits()
    while True:
        task = tasks.get()
        send = connection.send
        outcome = errands.run(task, send) if isinstance(task, Errand) else measure(task, send, fits)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, ValueError, OSError):  # a plugin may have closed or replaced it
                stream.flush()
        connection.send(outcome)


def _receive(connection: Connection, tasks: queue.SimpleQueue[Task | Errand]) -> None:
    """Take tasks from the pipe. Its end means that the supervisor is gone: leave, with every process below this one.

    This is what leaves no orphan when the driver is killed, even in the middle of a task.
    """
    while True:
        try:
            tasks.put(connection.recv())
        except (EOFError, OSError):
            kill(family(os.getpid())[:-1])
            os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
