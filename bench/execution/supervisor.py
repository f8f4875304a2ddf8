"""The supervisor of one slot: owns a warm worker process, feeds it tasks, and turns every ending into an outcome."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import Pipe
from types import TracebackType
from typing import IO, Any, Protocol, Self

import psutil

from bench.execution.messages import Errand, Outcome, Ready, Task
from bench.execution.processes import family, kill, resident
from bench.execution.slots import TICK_SECONDS, Interrupted, Slot
from bench.method import Epoch, ignore_epoch
from bench.provenance import SUMMATION_ORDER, environment, processor_facts

LOG_BYTES = 64 * 1024
"""How much of a worker's last output is kept."""
START_SECONDS = 300.0
"""How long a worker may take to start, torch's import on a cold disk included."""
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Memory in huge pages, where glibc and the kernel have them: a training step frees and takes megabytes over and over,
and waits for each small page of them."""
SAME_SUMS = {SUMMATION_ORDER: "AVX2,STRICT"}
"""MKL adds up on every Intel processor in the order that it takes on AMD's by itself: so most networks come out the
same on both, bit for bit. AMD's are not told so: for MKL the words mean another order there."""
GRACE_SECONDS = 2.0
"""Between asking a worker to end and killing it."""
DEATH_SECONDS = 30.0
"""How long a killed worker is waited for: one that hangs in the kernel, on a device that failed, may never be gone."""
FAMILY_SECONDS = 1.0
"""How often a worker's child processes are looked for: that takes a look at all processes of the machine."""


def worker_environment() -> dict[str, str]:
    """What a worker's environment has where the user's own does not say otherwise."""
    return {**HUGE_PAGES, **(SAME_SUMS if processor_facts().get("vendor_id") == "GenuineIntel" else {})}


class Stop(Protocol):
    """What tells a supervisor that the run was asked to stop."""

    def is_set(self) -> bool: ...


NEVER: Stop = threading.Event()


class Supervisor:
    """Runs tasks one at a time in its worker. Use it as a context: leaving it ends the worker."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.fit_key = ""
        """Of the last task."""
        self._worker: _Worker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker with all its processes."""
        self._end_worker()

    def run(self, task: Task | Errand, on_epoch: Callable[[Epoch], None] = ignore_epoch, stop: Stop = NEVER) -> Outcome:
        """The outcome of a task. Raises Interrupted when the run is stopped meanwhile."""
        self.fit_key = "" if isinstance(task, Errand) else task.job.fit_key
        outcome = self._attempt(dataclasses.replace(task, device=self.slot.device), on_epoch, stop)
        where = {**environment(), "slot": self.slot.name, **outcome.provenance}
        return dataclasses.replace(outcome, provenance=where)

    def _attempt(self, task: Task | Errand, on_epoch: Callable[[Epoch], None], stop: Stop) -> Outcome:
        try:
            if self._worker is None:
                self._worker = _Worker(self.slot)
                self._await(self._worker, time.monotonic() + START_SECONDS, ignore_epoch, stop, Ready)
            self._worker.begin(task)
            outcome = self._await(self._worker, time.monotonic() + task.timeout, on_epoch, stop, Outcome, task.memory)
            if outcome.error is not None:
                time.sleep(TICK_SECONDS)  # what was printed comes by another way, and may come later
                outcome = dataclasses.replace(outcome, error={**outcome.error, "log": self._worker.output()})
        except _Died as death:
            outcome = self._buried(death)
        except TimeoutError:
            outcome = self._buried(_TimedOut(f"took longer than {task.timeout:g} s"))
        if outcome.status == "oom" or outcome.worn_out:  # what the method had allocated may still be held
            self._end_worker()
        return outcome

    def _await(
        self,
        worker: _Worker,
        deadline: float,
        on_epoch: Callable[[Epoch], None],
        stop: Stop,
        kind: type[Any],
        memory: float = math.inf,
    ) -> Any:
        """The next message of a kind. Raises TimeoutError, _Died or Interrupted."""
        while True:
            if stop.is_set():
                raise Interrupted
            if time.monotonic() > deadline:
                raise TimeoutError
            if memory < math.inf and (held := worker.memory()) > memory:
                raise _OverMemory(f"held {held / 1e9:.2f} GB of memory, more than its limit of {memory / 1e9:g} GB")
            message = worker.receive(min(TICK_SECONDS, max(0.0, deadline - time.monotonic())))
            if isinstance(message, kind):
                return message
            if isinstance(message, Epoch):
                on_epoch(message)

    def _buried(self, death: _Died) -> Outcome:
        """The outcome for a worker that is gone or has to go; the next task gets a new one."""
        log = self._end_worker()
        error = {"type": "", "message": str(death), "log": log}
        return Outcome(death.status, error=error, over_limit=isinstance(death, _OverMemory))

    def _end_worker(self) -> str:
        """End the worker with all its processes; returns the end of what it printed."""
        if self._worker is None:
            return ""
        worker, self._worker = self._worker, None
        return worker.end()


class _Died(Exception):
    """The worker is gone without an outcome."""

    status: Any = "failed"


class _Killed(_Died):
    status = "killed"


class _TimedOut(_Died):
    status = "timeout"


class _OverMemory(_Died):
    status = "oom"


class _Worker:
    """One child process in a session of its own, the pipe to it, and the end of its output."""

    def __init__(self, slot: Slot) -> None:
        self._family: list[psutil.Process] = []
        self._counted = -FAMILY_SECONDS
        self.connection, theirs = Pipe()
        self.log: collections.deque[bytes] = collections.deque()
        fixed = {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
        environment = {**worker_environment(), **os.environ, **slot.environment, **fixed}
        try:
            self.process = subprocess.Popen(
                # -P: a file in the working folder must not pass for a module
                [sys.executable, "-P", "-m", "bench.execution.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            theirs.close()  # ours is then the only other end: its closing is the worker's sign to leave
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=_keep_last, args=(self.process.stdout, self.log), daemon=True)
        self._reader.start()

    def begin(self, task: Task | Errand) -> None:
        self.log.clear()
        try:
            self.connection.send(task)
        except OSError:
            raise self._death() from None

    def receive(self, timeout: float) -> Any:
        """The next message, or None when there is none in time. Raises _Died where none can come any more."""
        try:
            if self.connection.poll(timeout):
                return self.connection.recv()
        except (EOFError, OSError):
            raise self._death() from None
        # a process that the method started may keep the pipe open after the worker's death
        if self.process.poll() is not None and not self.connection.poll(0):
            raise self._death()
        return None

    def memory(self) -> int:
        """Bytes of main memory that the worker and the processes below it hold."""
        if time.monotonic() >= self._counted + FAMILY_SECONDS:
            self._family, self._counted = family(self.process.pid), time.monotonic()
        return resident(self._family)

    def end(self) -> str:
        """End it with all that its methods have started; returns the end of what it printed."""
        started = family(self.process.pid)
        for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, DEATH_SECONDS)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        kill(started)
        if self.process.poll() is None:
            self.log.append(f"\nprocess {self.process.pid} does not end; it is left behind\n".encode())
        self.connection.close()
        self._reader.join(timeout=1.0)
        return self.output()

    def output(self) -> str:
        """The end of what was printed during the task."""
        return b"".join(list(self.log)).decode(errors="replace")[-LOG_BYTES:]

    def _death(self) -> _Died:
        try:
            code = self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return _Died("the worker process closed its pipe and hung")
        if code < 0:
            return _Killed(f"the worker process was killed by {signal.Signals(-code).name}")
        return _Died(f"the worker process ended with exit code {code} and left no result")


def _keep_last(stream: IO[bytes], log: collections.deque[bytes]) -> None:
    """Read a worker's output to its end, keeping the last of it."""
    with contextlib.suppress(ValueError, OSError):
        while chunk := stream.read1(8192):  # type: ignore[attr-defined]
            log.append(chunk)
            while len(log) > LOG_BYTES // 8192 * 4:
                log.popleft()
    stream.close()
