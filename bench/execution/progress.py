"""What a run shows while it goes on: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from bench.execution.slots import Slot
from bench.jobs import Job
from bench.method import Epoch
from bench.store import Record


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


class Progress:
    """Counts jobs and shows them; its methods may be called from any thread."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self._console = console
        self._total = total
        self._done = self._failed = 0
        self._began = time.monotonic()
        self._lock, self._printing = threading.Lock(), threading.Lock()
        self._lines: dict[str, tuple[str, str]] = {}
        self._bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failures]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task(title, total=total, failures="", left="")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, slot: Slot, job: Job) -> None:
        """A slot has taken up a job."""
        with self._lock:
            self._lines[slot.name] = (job.title, "")

    def epoch(self, slot: Slot, epoch: Epoch) -> None:
        """The job in a slot has finished an epoch."""
        losses = "  ".join(f"{name} {loss:.4g}" for name, loss in epoch.losses.items())
        with self._lock:
            title = self._lines.get(slot.name, ("", ""))[0]
            self._lines[slot.name] = (title, f"epoch {epoch.number}/{epoch.total}  {losses}")

    def ended(self, slot: Slot, record: Record) -> None:
        """A job has its record."""
        with self._printing:  # so that lines come in the order of their numbers
            with self._lock:
                self._lines.pop(slot.name, None)
                self._done += 1
                self._failed += record.status != "done"
                failures = f"[red]{self._failed} failed" if self._failed else ""
                self._bar.update(self._task, completed=self._done, failures=failures, left=self._left())
                line = self._line(record)
            # not under that lock: printing redraws the live display, which takes it itself
            if not self._console.is_terminal or record.status != "done":
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _line(self, record: Record) -> str:
        width = len(str(self._total))
        start = f"[{self._done:{width}}/{self._total}] {record.status:8} {record.job.title}"
        if record.status != "done":
            return f"{start}: {record.reason}"
        seconds = record.cost["fit_seconds"] + record.cost["score_seconds"]
        return f"{start}  AUROC {record.metrics['auroc']:.3f}  {seconds:.1f} s"

    def _left(self) -> str:
        remaining = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        return f"about {clock(remaining)} left" if remaining else ""

    def _render(self) -> RenderableType:
        with self._lock:
            rows = sorted(self._lines.items())
        table = Table.grid(padding=(0, 2))
        for slot, (title, state) in rows:
            table.add_row(f"[dim]{slot}", title, state)
        return Group(self._bar, table)
