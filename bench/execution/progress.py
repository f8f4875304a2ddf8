"""What a run shows while it goes on: a live board where that can be redrawn, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.execution.estimates import Forecast
from bench.execution.observers import Observer
from bench.execution.screens import display
from bench.jobs import Job
from bench.method import Epoch
from bench.record import Record
from bench.terminal import printable


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


@dataclass
class Line:
    """A running job: where, what, and how far it is."""

    slot: str
    title: str
    state: str = ""


@dataclass
class Board:
    """A run at one moment: how many jobs there are, how many ended, which are running, how long the rest will take."""

    title: str
    total: int
    done: int = 0
    failed: int = 0
    left: float | None = None
    running: dict[str, Line] = field(default_factory=dict)

    def started(self, key: str, slot: str, title: str) -> None:
        self.running[key] = Line(slot, title)

    def epoch(self, key: str, number: int, total: int, losses: Mapping[str, float | None]) -> None:
        if line := self.running.get(key):
            shown = "  ".join(f"{name} {loss:.4g}" for name, loss in losses.items() if loss is not None)
            line.state = f"epoch {number}/{total}  {shown}"

    def ended(self, key: str, status: str, left: float | None) -> None:
        self.running.pop(key, None)
        self.done += 1
        self.failed += status != "done"
        self.left = left

    def read(self, event: Mapping[str, Any]) -> None:
        """Take in an event of a run's log."""
        match event["event"]:
            case "started":
                self.started(event["key"], event["slot"], event["job"])
            case "epoch":
                self.epoch(event["key"], event["number"], event["total"], event["losses"])
            case "ended":
                self.ended(event["key"], event["status"], event["left"])

    @property
    def counts(self) -> str:
        """Ended, failed, running and waiting jobs in a line."""
        waiting = self.total - self.done - len(self.running)
        failed = f", {self.failed} failed" if self.failed else ""
        left = f"  about {clock(self.left)} left" if self.left else ""
        return f"{self.done}/{self.total} ended{failed}, {len(self.running)} running, {waiting} waiting{left}"

    def rendered(self, elapsed: float | None = None) -> RenderableType:
        """The board for a terminal."""
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(self.total, 1), completed=self.done, width=30)
        spent = clock(elapsed) if elapsed is not None else ""
        head.add_row(_text(self.title, "bold"), bar, _text(self.counts), _text(spent))
        lines = Table.grid(padding=(0, 2))
        for line in sorted(self.running.values(), key=lambda line: line.slot):
            lines.add_row(_text(line.slot, "dim"), _text(line.title), _text(line.state))
        return Group(head, lines)


def _text(words: str, style: str = "") -> Text:
    """Words as they are: neither markup nor what would steer the terminal."""
    return Text(printable(words), style)


class Progress(Observer):
    """Shows a run to whoever started it. Use it as a context."""

    def __init__(self, console: Console, title: str, total: int, forecast: Forecast) -> None:
        self._console = console
        self._forecast = forecast
        self._board = Board(title, total)
        self._began = time.monotonic()
        self._lock, self._printing = threading.Lock(), threading.Lock()
        self._live = display(console, self._render)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, slot: str, job: Job) -> None:
        with self._lock:
            self._board.started(job.key, slot, job.title)

    def epoch(self, job: Job, epoch: Epoch) -> None:
        with self._lock:
            self._board.epoch(job.key, epoch.number, epoch.total, epoch.losses)

    def ended(self, record: Record) -> None:
        with self._printing:  # so that lines come in the order of their numbers
            with self._lock:
                self._board.ended(record.job.key, record.status, self._forecast.left())
                line = self._line(record)
            # not under that lock: printing redraws the live display, which takes it itself
            if not self._console.is_terminal or record.status != "done":
                self._console.print(_text(line), soft_wrap=True)

    def _line(self, record: Record) -> str:
        width = len(str(self._board.total))
        start = f"[{self._board.done:{width}}/{self._board.total}] {record.status:8} {record.job.title}"
        if record.status != "done":
            return f"{start}: {record.reason}"
        return f"{start}  AUROC {record.metrics['auroc']:.3f}  {record.seconds:.1f} s"

    def _render(self) -> RenderableType:
        with self._lock:
            return self._board.rendered(time.monotonic() - self._began)
