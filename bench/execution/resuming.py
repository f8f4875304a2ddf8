"""The file of a checkpoint: what a job's training had come to, for the same job to go on from there."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.checkpoints import Keeper, Snapshot
from bench.execution.messages import Task
from bench.files import write_whole
from bench.method import EpochMethod, Method
from bench.provenance import accelerator, environment


@dataclass
class Progress:
    """What the harness has noted of a training so far."""

    epochs: list[dict[str, Any]] = field(default_factory=list)
    """As a record has them."""
    steps: int = 0
    captured: bool = False
    """Whether steps ran as a CUDA graph."""
    seconds: float = 0.0
    """Spent on fitting."""
    resumed: int = 0
    """How often the training went on from a checkpoint."""


class Checkpoint:
    """Of one task; for a method that cannot go on, or where none are asked for, it keeps nothing."""

    def __init__(self, task: Task, detector: Method) -> None:
        asked = task.checkpoints is not None and task.checkpoint_seconds > 0
        can = isinstance(detector, EpochMethod) and detector.resumable
        self._path = task.checkpoints / f"{task.job.key}.pt" if asked and can and task.checkpoints else None
        if self._path is not None and not self._path.parent.parent.is_dir():
            print(f"no checkpoints: {self._path.parent.parent} is not there on this machine")  # noqa: T201 - its log
            self._path = None
        self._identity = _identity(task)
        self.progress = Progress()
        self.keeper = self._opened(task) if self._path is not None else None

    def keep(self, seconds: float) -> None:
        """Write the file if the keeper has taken a state since, after so many seconds of fitting in this process."""
        import torch

        if self._path is None or self.keeper is None or not self.keeper.due:
            return
        self.keeper.due = False
        progress = {**asdict(self.progress), "seconds": self.progress.seconds + seconds}
        snapshots = {number: snapshot.stored() for number, snapshot in self.keeper.snapshots.items()}
        buffer = io.BytesIO()
        torch.save({"identity": self._identity, "progress": progress, "snapshots": snapshots}, buffer)
        try:
            self._path.parent.mkdir(exist_ok=True)
            write_whole(self._path, buffer.getvalue())
        except OSError as error:  # a full disk costs the checkpoint, not the job
            print(f"this checkpoint was not kept: {error}")  # noqa: T201 - into the job's log

    def _opened(self, task: Task) -> Keeper:
        """A keeper with what the file holds, if that is of this task, this code, these libraries and this processor."""
        assert self._path is not None
        stored = _read(self._path, task.device)
        if stored is None:
            return Keeper(task.checkpoint_seconds)
        if stored["identity"] != self._identity:
            print(f"begun anew: {self._path.name} is of other libraries, another processor or a run without --trace")  # noqa: T201
            return Keeper(task.checkpoint_seconds)
        self.progress = Progress(**stored["progress"])
        self.progress.resumed += 1
        snapshots = {number: Snapshot.read(each) for number, each in stored["snapshots"].items()}
        return Keeper(task.checkpoint_seconds, snapshots)


def _read(path: Path, device: str) -> dict[str, Any] | None:
    """What a file holds; None where there is none, or where it is damaged, which is said."""
    import pickle

    import torch

    try:
        stored: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        print(f"begun anew: {path.name} cannot be read ({type(error).__name__}: {error})")  # noqa: T201 - into the log
        return None
    if not (isinstance(stored, dict) and {"identity", "progress", "snapshots"} <= stored.keys()):
        print(f"begun anew: {path.name} is no checkpoint")  # noqa: T201 - into the job's log
        return None
    return stored


def _identity(task: Task) -> dict[str, Any]:
    """What has to be the same for a training to go on as it would have."""
    here, there = environment(), accelerator(task.device)
    facts = {name: here[name] for name in ("python", "libraries", "cpu")} | {
        name: there.get(name) for name in ("threads", "gpu", "mkl_cbwr")
    }
    return {**facts, "key": task.job.key, "trace": task.trace, "graphs": task.graphs}
