"""What goes over the pipe between a supervisor and its worker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.jobs import Job
from bench.method import Epoch
from bench.record import Arrays, Status


class Source(NamedTuple):
    """Where a data set's prepared arrays lie, and the height and width that images of several sizes are brought to."""

    folder: Path
    size: int | None


@dataclass(frozen=True)
class Task:
    """A job with what a worker needs to do it."""

    job: Job
    dataset_folder: Path
    plugin_folders: Sequence[str]
    """Of methods."""
    protocol_folders: Sequence[str] = ()
    device: str = "cpu"
    """``cpu`` or ``cuda`` until a slot takes it, which knows which."""
    graphs: bool = True
    """Whether its training steps may be captured as CUDA graphs."""
    trace: bool = False
    shares_fit: bool = False
    """Whether other tasks of the run have the same fit."""
    timeout: float = math.inf
    """Seconds."""
    memory: float = math.inf
    """Bytes that the worker with all its processes may hold in main memory."""
    gpu_memory: float | None = None
    """Bytes of a GPU that its method says it needs."""
    checkpoints: Path | None = None
    """The folder that checkpoints of its training go into."""
    checkpoint_seconds: float = 0.0
    """Between two of them; 0: none."""
    dataset_source: str = ""
    """Fingerprint of the dataset's plugin, where that is no part of the harness."""
    image_size: int | None = None
    """Height and width that images of several sizes are brought to."""
    keep_maps: bool = False
    """Whether the maps of all test images are kept, not only of a few."""
    most_scored: int | None = None
    """About how many of the test images are scored, where that is not all."""
    criteria: Sequence[str] = ()
    """Specs of those that a job which compares settings has figures of."""
    criterion_folders: Sequence[str] = ()
    others: Mapping[str, Source] = field(default_factory=dict)
    """By spec, the other data sets whose images these criteria take."""


@dataclass(frozen=True)
class Errand:
    """What a worker is to do with images of the user's own. It is no job: it leaves no record."""

    spec: str
    fingerprint: str
    """Of the method's code."""
    seed: int
    """Of the method's randomness."""
    images: Path
    """uint8 (n, height, width, channels), as NumPy writes them."""
    state: Path
    """The folder of what the fitted method saves."""
    plugin_folders: Sequence[str]
    device: str = "cpu"
    timeout: float = math.inf
    memory: float = math.inf


class Fit(Errand):
    """Fit the method on the images, and save it in its folder."""


class Score(Errand):
    """Score the images by the method that its folder holds; the outcome has the ``scores`` (n,)."""


class Map(Errand):
    """Map the images by the method that its folder holds; the outcome has the ``maps``, if the method has any."""


@dataclass(frozen=True)
class Outcome:
    """How a task ended and all that a record needs of it; see ``bench.store.Record`` for the fields."""

    status: Status
    split: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    by_kind: dict[str, dict[str, float]] = field(default_factory=dict)
    criteria: dict[str, float] = field(default_factory=dict)
    maps: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    traced: bool = False
    oracle_candidates: list[dict[str, Any]] = field(default_factory=list)
    ledger: dict[str, list[str]] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    over_limit: bool = False
    """Whether it was ended at its own memory limit, which another attempt would meet again."""
    worn_out: bool = False
    """Whether the process that did it is of no more use: its GPU failed under it, or its memory ran out."""
    provenance: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays | None = None
    every_map: NDArray[np.float16] | None = None
    """The maps of all test images, where they are kept."""

    @property
    def worth_repeating(self) -> bool:
        """Whether it may have been the machine's fault, or that of a neighbour on the same GPU."""
        return (self.status in ("killed", "oom") or (self.status == "failed" and self.worn_out)) and not self.over_limit

    @property
    def as_attempt(self) -> dict[str, Any]:
        """What a record keeps of it once the task is started again."""
        return {"status": self.status, **(self.error or {})}


@dataclass(frozen=True)
class Ready:
    """The worker has started and takes tasks."""


Message = Ready | Epoch | Outcome
"""What a worker sends: once Ready, then for each task or errand its epochs and its outcome."""
