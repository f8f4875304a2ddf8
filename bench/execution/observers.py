"""Who is told while a run goes on: its log, a script that reads events, whoever looks at the terminal."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import psutil

from bench.errors import BenchError
from bench.jobs import Job
from bench.method import Epoch
from bench.record import Record

EPOCH_SECONDS = 1.0
"""Of one job's epochs, no more than one in so many seconds is an event."""
TAIL_BYTES = 4096
"""More than the last line of a log that has ended."""
LOGS = "logs"
"""Folder, in the results folder, of the runs' logs."""


class Observer:
    """Is told of a run, and does nothing about it. The methods may be called from several threads at once."""

    def started(self, slot: str, job: Job) -> None:
        """A slot has taken up a job; for the second time where it is started again."""

    def epoch(self, job: Job, epoch: Epoch) -> None:
        """A running job has finished an epoch."""

    def ended(self, record: Record) -> None:
        """A job has its record."""

    def claimed(self, job: Job, owner: str) -> None:
        """Another run on the same folder is doing a job, which is left to it for as long as it does."""

    def found(self, record: Record) -> None:
        """A job has its record, which another run on the same folder made."""


class Observers(Observer):
    """Tells each of several, in order."""

    def __init__(self, each: Sequence[Observer]) -> None:
        self._each = each

    def started(self, slot: str, job: Job) -> None:
        for observer in self._each:
            observer.started(slot, job)

    def epoch(self, job: Job, epoch: Epoch) -> None:
        for observer in self._each:
            observer.epoch(job, epoch)

    def ended(self, record: Record) -> None:
        for observer in self._each:
            observer.ended(record)

    def claimed(self, job: Job, owner: str) -> None:
        for observer in self._each:
            observer.claimed(job, owner)

    def found(self, record: Record) -> None:
        for observer in self._each:
            observer.found(record)


class Events(Observer):
    """A run as lines of JSON, one event each, with ``event`` and ``time``.

    ``run`` at the beginning; ``started``, ``epoch`` and ``ended`` of jobs, the last with ``elsewhere``, whether another
    run did it; ``claimed`` of jobs that another run is doing; ``finished`` at the end.
    """

    def __init__(self, stream: TextIO, left: Callable[[], float | None]) -> None:
        self._stream = stream
        self._left = left
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def write(self, event: str, **facts: Any) -> None:
        """One line, at once."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"event": event, "time": now, **facts}, ensure_ascii=False)
        try:
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()
        except OSError as error:
            raise BenchError(f"cannot write to {self._stream.name}: {error}; the same command goes on") from error

    def started(self, slot: str, job: Job) -> None:
        self.write("started", key=job.key, job=job.title, slot=slot)

    def epoch(self, job: Job, epoch: Epoch) -> None:
        if time.monotonic() >= self._told.get(job.key, -EPOCH_SECONDS) + EPOCH_SECONDS:
            self._told[job.key] = time.monotonic()
            losses = {name: loss if epoch.finite else None for name, loss in epoch.losses.items()}
            self.write("epoch", key=job.key, number=epoch.number, total=epoch.total, losses=losses)

    def ended(self, record: Record) -> None:
        self._told.pop(record.job.key, None)
        self._ended(record, elsewhere=False)

    def claimed(self, job: Job, owner: str) -> None:
        self.write("claimed", key=job.key, job=job.title, owner=owner)

    def found(self, record: Record) -> None:
        self._ended(record, elsewhere=True)

    def _ended(self, record: Record, elsewhere: bool) -> None:
        self.write(
            "ended",
            key=record.job.key,
            job=record.job.title,
            status=record.status,
            auroc=record.metrics.get("auroc"),
            reason=record.reason,
            elsewhere=elsewhere,
            left=self._left(),
        )


@contextlib.contextmanager
def open_log(results: Path) -> Iterator[TextIO]:
    """The log of a run that begins now, ``<results>/logs/<time>-<process>.jsonl``.

    Raises BenchError where it cannot be written.
    """
    began = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    path = results / LOGS / f"{began}-{socket.gethostname()}-{os.getpid()}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w", encoding="utf-8")
    except OSError as error:
        raise BenchError(
            f"cannot write to the results folder {results}: {error}; name another with --results"
        ) from error
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):  # a full disk has been reported where it was met
            stream.close()


def live_logs(results: Path) -> list[Path]:
    """The logs of runs that are still going on, as far as this machine can tell."""
    return [path for path in sorted((results / LOGS).glob("*.jsonl")) if _is_live(path)]


def read_events(stream: TextIO) -> Iterator[dict[str, Any]]:
    """The events in a log from where it was read to; a last line that is not whole yet is left for the next time."""
    while True:
        place = stream.tell()
        line = stream.readline()
        if not line.endswith("\n"):
            stream.seek(place)
            return
        yield json.loads(line)


def _is_live(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.readline()
        stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = stream.read().splitlines()[-1:]
    if not head.endswith(b"\n") or b'{"event": "finished"' in tail[0]:
        return False
    first = json.loads(head)
    # of a run on another machine that shares the folder, only the log tells
    return bool(first["host"] != socket.gethostname() or psutil.pid_exists(first["pid"]))
