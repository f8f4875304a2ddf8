"""Whoever does errands: one worker, kept from one errand to the next, as a notebook asks for many."""

from __future__ import annotations

import atexit
import functools
import threading
from collections.abc import Callable

from bench.execution.messages import Errand, Outcome
from bench.execution.slots import Slot, find_slots
from bench.execution.supervisor import Supervisor
from bench.method import Epoch, ignore_epoch


class Hand:
    """Does one errand at a time, in a worker that stays for the next one with the same code on the same device."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._supervisor: Supervisor | None = None
        self._serves: tuple[object, ...] = ()

    def do(self, errand: Errand, on_epoch: Callable[[Epoch], None] = ignore_epoch) -> Outcome:
        """The outcome of an errand on its ``device``, which is as for ``--device``.

        Raises BenchError for a device that is not there. What interrupts the caller ends the worker too.
        """
        slot = _slot(errand.device)
        with self._lock:
            serves = (slot, errand.fingerprint, tuple(errand.plugin_folders))
            if self._supervisor is None or serves != self._serves:  # a worker imports the code of a method once
                self._close()
                self._supervisor, self._serves = Supervisor(slot), serves
            try:
                return self._supervisor.run(errand, on_epoch)
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None


@functools.cache
def _slot(device: str) -> Slot:
    return find_slots(device, workers=1)[0]


HAND = Hand()
"""That of this process."""

atexit.register(HAND.close)
