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
    elsewhere: int = 0
    """Of those that ended, how many other runs did."""
    left: float | None = None
    running: dict[str, Line] = field(default_factory=dict)
    claimed: dict[str, str] = field(default_factory=dict)
    """Of those that wait here, which another run is doing, and who that is."""

    def started(self, key: str, slot: str, title: str) -> None:
        self.claimed.pop(key, None)
        self.running[key] = Line(slot, title)

    def epoch(self, key: str, number: int, total: int, losses: Mapping[str, float | None]) -> None:
        if line := self.running.get(key):
            shown = "  ".join(f"{name} {loss:.4g}" for name, loss in losses.items() if loss is not None)
            line.state = f"epoch {number}/{total}  {shown}"

    def ended(self, key: str, status: str, elsewhere: bool, left: float | None) -> None:
        self.running.pop(key, None)
        self.claimed.pop(key, None)
        self.done += 1
        self.failed += status != "done"
        self.elsewhere += elsewhere
        self.left = left

    def read(self, event: Mapping[str, Any]) -> None:
        """Take in an event of a run's log."""
        match event["event"]:
            case "started":
                self.started(event["key"], event["slot"], event["job"])
            case "epoch":
                self.epoch(event["key"], event["number"], event["total"], event["losses"])
            case "claimed":
                self.claimed[event["key"]] = event["owner"]
            case "ended":
                self.ended(event["key"], event["status"], event.get("elsewhere", False), event["left"])

    @property
    def counts(self) -> str:
        """Ended, failed, running and waiting jobs in a line."""
        failed = f", {self.failed} failed" if self.failed else ""
        elsewhere = f", {self.elsewhere} done by another run" if self.elsewhere else ""
        claimed = f", {len(self.claimed)} of them under way in another run" if self.claimed else ""
        left = f"  about {clock(self.left)} left" if self.left else ""
        ended = f"{self.done}/{self.total} ended{failed}{elsewhere}"
        return f"{ended}, {len(self.running)} running, {self.waiting} waiting{claimed}{left}"

    @property
    def waiting(self) -> int:
        """How many jobs neither ended nor run."""
        return self.total - self.done - len(self.running)

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
        self._told = False
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
        self._ended(record, elsewhere=False)

    def claimed(self, job: Job, owner: str) -> None:
        with self._lock:
            self._board.claimed[job.key] = owner
        self._say_what_it_waits_for()

    def found(self, record: Record) -> None:
        self._ended(record, elsewhere=True)

    def _ended(self, record: Record, elsewhere: bool) -> None:
        with self._printing:  # so that lines come in the order of their numbers
            with self._lock:
                self._board.ended(record.job.key, record.status, elsewhere, self._forecast.left())
                line = self._line(record) + (", by another run" if elsewhere else "")
            # not under that lock: printing redraws the live display, which takes it itself
            if not self._console.is_terminal or record.status != "done":
                self._console.print(_text(line), soft_wrap=True)
        self._say_what_it_waits_for()

    def _say_what_it_waits_for(self) -> None:
        """Once, when nothing runs here and other runs do all that waits: else nothing would tell why it goes on."""
        with self._printing:
            with self._lock:
                owners, board = sorted(set(self._board.claimed.values())), self._board
                waits = owners and not board.running and board.waiting == len(board.claimed) and not self._told
                self._told |= bool(waits)
            if waits and not self._console.is_terminal:
                jobs = f"{board.waiting} {'job' if board.waiting == 1 else 'jobs'}"
                self._console.print(_text(f"waiting for {jobs} of another run: {', '.join(owners)}"), soft_wrap=True)

    def _line(self, record: Record) -> str:
        width = len(str(self._board.total))
        start = f"[{self._board.done:{width}}/{self._board.total}] {record.status:8} {record.job.title}"
        if record.status != "done":
            return f"{start}: {record.reason}"
        figure = f"AUROC {record.metrics['auroc']:.3f}  " if record.metrics else ""
        return f"{start}  {figure}{record.seconds:.1f} s"

    def _render(self) -> RenderableType:
        with self._lock:
            return self._board.rendered(time.monotonic() - self._began)
