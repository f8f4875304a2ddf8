"""One fit for many tests: what a worker keeps of the detector that it fitted last, for other jobs of the same fit."""

from __future__ import annotations

import pickle
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.execution.messages import Task
from bench.execution.resuming import Progress
from bench.method import Method


@dataclass(frozen=True)
class Fit:
    """How a detector was fitted."""

    key: str
    """Of the job that it was fitted for."""
    progress: Progress
    """All that the harness noted of its training."""
    memory: Mapping[str, int]
    """As ``bench.device.peak`` tells it."""


class _Kept(NamedTuple):
    serves: tuple[object, ...]
    fit: Fit
    state: bytes
    """The detector and the global generators as they were when it had been fitted, pickled: what one job's scoring
    changes in them reaches no other, and on no GPU anything is held meanwhile."""


class Fits:
    """The last fit of a process, where it is worth keeping."""

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def keep(self, task: Task, fit: Fit, detector: Method) -> None:
        """Keep a detector that this task has fitted, if others share its fit; not one that cannot be pickled."""
        if task.shares_fit and not task.trace:  # a trace tests after every epoch
            try:
                state = pickle.dumps((detector, _generators()), pickle.HIGHEST_PROTOCOL)
            except Exception:  # noqa: BLE001 - a plugin's objects raise what they like; each of its jobs fits then
                return
            self._kept = _Kept(_served(task), fit, state)

    def resume(self, task: Task) -> tuple[Fit, Method] | None:
        """The task's detector as it was fitted, and with it the global generators; None where another one was fitted
        last, which is dropped."""
        if self._kept is None or task.trace or self._kept.serves != _served(task):
            self.drop()
            return None
        detector, generators = pickle.loads(self._kept.state)
        _set(generators)
        return self._kept.fit, detector

    def drop(self) -> None:
        """Forget what is kept."""
        self._kept = None


def _served(task: Task) -> tuple[object, ...]:
    folders = (task.dataset_folder, tuple(task.plugin_folders), tuple(task.protocol_folders))
    return task.job.fit_key, task.image_size, task.device, task.graphs, *folders


def _generators() -> tuple[Any, ...]:
    """The states of Python's, NumPy's and torch's global generators."""
    import numpy as np
    import torch

    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), on_gpus  # noqa: NPY002


def _set(generators: tuple[Any, ...]) -> None:
    import numpy as np
    import torch

    python, numpy, on_cpu, on_gpus = generators
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(on_cpu)
    if on_gpus:
        torch.cuda.set_rng_state_all(on_gpus)
