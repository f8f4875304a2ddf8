"""Where progress is shown: a board that is redrawn, on a terminal or below a notebook's cell, and lines elsewhere."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live

REDRAWN_SECONDS = 0.5
"""How often the board below a cell is redrawn: each time is a message to the browser."""
CELL_WIDTH = 120
"""Characters in a line of that board."""


class Display(Protocol):
    """Shows a board from its start until it is stopped."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def console() -> Console:
    """What is on the other side of stderr. It counts as a terminal where a board can be redrawn."""
    if not _is_cell():
        return Console(stderr=True)
    # by itself rich would make each line a piece of HTML
    return Console(file=sys.stderr, force_jupyter=False, force_terminal=True, color_system=None)


def display(on: Console, render: Callable[[], RenderableType]) -> Display:
    """What shows the board that ``render`` gives. A terminal has it no more when it stops, a cell its last state."""
    if _is_cell():
        return _Cell(render)
    return Live(console=on, get_renderable=render, refresh_per_second=4, transient=True)


def _is_cell() -> bool:
    return Console(stderr=True).is_jupyter


class _Cell:
    """The output of a notebook's cell, for which rich's own display needs a package of widgets."""

    def __init__(self, render: Callable[[], RenderableType]) -> None:
        from IPython.display import DisplayHandle

        self._render = render
        self._handle = DisplayHandle()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def start(self) -> None:
        self._handle.display({"text/plain": self._text()}, raw=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
            self._handle.update({"text/plain": self._text()}, raw=True)

    def _redraw(self) -> None:
        while not self._stopped.wait(REDRAWN_SECONDS):
            self._handle.update({"text/plain": self._text()}, raw=True)

    def _text(self) -> str:
        written = io.StringIO()
        Console(file=written, width=CELL_WIDTH, force_jupyter=False, color_system=None).print(self._render())
        return "\n".join(line.rstrip() for line in written.getvalue().splitlines())
