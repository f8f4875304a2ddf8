"""Records on disk: ``<results>/<dataset>/<protocol>/<method>/<key>.json`` and, beside it, ``<key>.npz`` with scores.

Every file is written under a name of its own, flushed to disk, then renamed over its final name. The scores go first;
the JSON is the commit mark. So a killed run leaves no half record, and two runs may share a folder.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import gc
import hashlib
import io
import json
import os
import re
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pydantic_core
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.jobs import SCHEMA, Job

Status = Literal["done", "failed", "diverged", "timeout", "oom", "killed", "skipped"]
"""How a job ended. Only ``done`` has scores."""
STATUSES = get_args(Status)

LEFTOVER_SECONDS = 3600.0
"""How old a half written file must be to count as left behind."""

Arrays = Mapping[str, NDArray[Any]]
"""``scores`` (n,) float, ``labels`` (n,) 0 normal or 1 anomalous, ``indices`` (n,) into the dataset's images.

Where the method makes images anew, also those of a few test images: ``reconstructed`` (k, height, width, channels)
uint8, and ``reconstructed_indices`` (k,) into the dataset's images.
"""


class RecordUnreadable(BenchError):
    """A file in the results folder is no valid record; the message names it and says what to do."""


@dataclass(frozen=True)
class Record:
    """What one job left behind."""

    job: Job
    status: Status
    split: dict[str, Any] = field(default_factory=dict)
    """``fingerprint``, the dataset's number of the normal class (``normal_label``), how many classes can be normal
    (``normal_classes``), and the number of ``train``, ``test`` and ``anomalous`` images."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Figures after the last epoch: ``auroc``, ``average_precision``, ``fpr_at_95_tpr``."""
    cost: dict[str, Any] = field(default_factory=dict)
    """``fit_seconds``, ``score_seconds``, ``images_per_second`` (scored), ``parameters``, ``peak_memory_bytes``."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Every hyperparameter with its value."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """Mean losses of each epoch and, where it was traced, the test AUROC after it."""
    traced: bool = False
    """Whether the test AUROC was recorded after each epoch and for each candidate: what an oracle chooses from."""
    oracle_candidates: list[dict[str, Any]] = field(default_factory=list)
    """The method's candidates for hyperparameters that its authors chose by labels: ``parameters`` and ``auroc``."""
    ledger: dict[str, list[str]] = field(default_factory=dict)
    """What was used beyond normal training images: ``used`` by this job, ``published`` by the method's published
    figures."""
    error: dict[str, Any] | None = None
    """``type``, ``message``, ``traceback`` and ``log`` (the last output) of a job that did not end well."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """Earlier starts of the job that ended badly and were repeated."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Code, libraries, hardware, command and times."""
    scores_sha256: str | None = None
    """Checksum of the file with the scores."""

    @property
    def oracle(self) -> float | None:
        """The best test AUROC over epochs and candidates, which only the test labels can choose; None if not traced."""
        if not self.traced or "auroc" not in self.metrics:
            return None
        traced = [epoch["auroc"] for epoch in self.epochs if "auroc" in epoch]
        return max([self.metrics["auroc"], *traced, *(each["auroc"] for each in self.oracle_candidates)])

    @property
    def reason(self) -> str:
        """Why the job did not end well, in one line."""
        if self.error is None:
            return ""
        kind, message = self.error.get("type", ""), str(self.error.get("message", "")).partition("\n")[0]
        return f"{kind}: {message}" if kind else message

    def to_json(self) -> str:
        """The record as JSON text."""
        facts = {"schema": SCHEMA, "key": self.job.key, **dataclasses.asdict(self)}
        return json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record in a JSON text. Raises ValueError where it is none, or of a schema that is not known."""
        facts = _parsed(text)
        if not isinstance(facts, dict) or "schema" not in facts:
            raise ValueError("not a record")
        schema, key = facts.pop("schema"), facts.pop("key", None)
        if schema != SCHEMA:
            raise ValueError(f"schema {schema!r} is not known to this version, which writes {SCHEMA}; upgrade bench")
        try:
            record = cls(**{**facts, "job": Job(**facts["job"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a record: {error}") from error
        if record.status not in STATUSES:
            raise ValueError(f"unknown status {record.status!r}")
        if record.job.key != key:
            raise ValueError(f"its key {key!r} does not follow from its job")
        return record


class Store:
    """The records in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def require_writable(self) -> None:
        """Raise BenchError where the folder does not take records, before anything is computed for it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise BenchError(
                f"cannot write to the results folder {self.folder}: {error}; name another with --results"
            ) from error

    def path(self, job: Job) -> Path:
        """Where the record of a job is, or would be."""
        return self.folder / _slug(job.dataset) / job.protocol / job.method / f"{job.key}.json"

    def get(self, job: Job) -> Record | None:
        """The record of a job; None where there is none. Raises RecordUnreadable where the file is damaged."""
        path = self.path(job)
        return _read(path) if path.is_file() else None

    def put(self, record: Record, arrays: Arrays | None = None) -> None:
        """Write a record so that it is there whole or not at all. Raises BenchError where the folder refuses."""
        path = self.path(record.job)
        packed = _packed(arrays) if arrays is not None else None
        if packed is not None:
            record = dataclasses.replace(record, scores_sha256=hashlib.sha256(packed).hexdigest())
        # before anything is replaced: what JSON cannot hold fails here. A lone surrogate becomes its JSON escape
        text = record.to_json().encode(errors="backslashreplace")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if packed is not None:
                _replace(path.with_suffix(".npz"), packed)
            _replace(path, text)
            if packed is None:
                path.with_suffix(".npz").unlink(missing_ok=True)
        except OSError as error:
            raise BenchError(
                f"cannot write to the results folder {self.folder}: {error}\n"
                "nothing that was finished before is lost; make room or name another folder with --results, "
                "then repeat the command: it goes on where it stopped"
            ) from error

    def scores(self, record: Record) -> Arrays:
        """The per-image arrays of a record. Raises RecordUnreadable where they are absent or not those recorded."""
        path = self.path(record.job).with_suffix(".npz")
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise RecordUnreadable(f"scores {path} cannot be read: {error}") from error
        if hashlib.sha256(packed).hexdigest() != record.scores_sha256:
            raise RecordUnreadable(f"scores {path} are not those of its record; run the job again with --rerun all")
        with np.load(io.BytesIO(packed)) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def records(self) -> tuple[list[Record], list[RecordUnreadable]]:
        """Every record in the folder, in order of path, and what could not be read."""
        found, unreadable = [], []
        with _uncollected():
            for path in self._files():
                try:
                    found.append(_read(path))
                except RecordUnreadable as error:
                    unreadable.append(error)
        return found, unreadable

    def remove(self, record: Record) -> None:
        """Remove a record and its scores, the record first: scores without one are a leftover, not a damaged record."""
        path = self.path(record.job)
        path.unlink(missing_ok=True)
        path.with_suffix(".npz").unlink(missing_ok=True)

    def leftovers(self) -> list[Path]:
        """Files that killed runs left: half written ones, and scores without a record, at least an hour old.

        What is younger may belong to a run that is still writing.
        """
        before = time.time() - LEFTOVER_SECONDS
        half = self.folder.glob("*/*/*/.*.tmp")
        alone = (p for p in self.folder.glob("*/*/*/*.npz") if not p.with_suffix(".json").exists())
        return sorted(path for path in (*half, *alone) if path.stat().st_mtime < before)

    def find(self, prefix: str) -> Record:
        """The record whose key starts with ``prefix``. Raises BenchError where none or several do."""
        matches = self.matching(prefix)
        if len(matches) != 1:
            listed = "".join(f"\n  {path.stem}  {path.parent.relative_to(self.folder)}" for path in matches[:10])
            found = f"{len(matches)} records have" if matches else "no record has"
            raise BenchError(f"{found} a key starting with {prefix!r} in {self.folder}{listed}")
        return _read(matches[0])

    def matching(self, prefix: str) -> list[Path]:
        """The files of the records whose keys start with ``prefix``. Raises BenchError for what cannot begin a key."""
        if not re.fullmatch(r"[0-9a-f]{1,32}", prefix):
            raise BenchError(f"{prefix!r} is no key; keys are hexadecimal, bench status --json lists them")
        return [path for path in self._files() if path.stem.startswith(prefix)]

    def _files(self) -> Iterator[Path]:
        return (p for p in sorted(self.folder.glob("*/*/*/*.json"), key=str) if not p.name.startswith("."))


def _slug(dataset: str) -> str:
    """A folder name for a dataset's spec; one with parameters gets a short hash for them."""
    name, _, parameters = dataset.partition("(")
    return f"{name}-{hashlib.sha256(parameters.encode()).hexdigest()[:8]}" if parameters else name


def _read(path: Path) -> Record:
    try:
        record = Record.from_json(path.read_bytes().decode())
    except (OSError, ValueError) as error:
        raise RecordUnreadable(
            f"record {path} cannot be used: {error}\nremove it and repeat the run:  rm {path}"
        ) from error
    if record.job.key != path.stem:
        raise RecordUnreadable(f"record {path} belongs to another key, {record.job.key}; restore its name")
    return record


def _parsed(text: str) -> Any:
    try:
        return pydantic_core.from_json(text, cache_strings="keys")  # in half the time of json
    except ValueError:  # json takes lone surrogates too, and its message names what was expected
        return json.loads(text)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """What is made meanwhile is never searched for cycles: records have none, and a search would go over them all."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


atexit.register(gc.unfreeze)  # else C++ libraries report at the end, as leaked, what they have among the frozen objects


def _packed(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
