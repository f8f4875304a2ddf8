"""Records on disk: ``<results>/<dataset>/<protocol>/<method>/<key>.json`` and, beside it, a file with the scores.

Archives (``<results>/*.zip``, see ``bench.archive``) are read as loose files are; a loose record goes before a packed
one of the same job.

Every file is written under a name of its own, flushed to disk, then renamed to its final name. The scores go first, and
the score maps of all test images where they are kept, under names that tell their content; the JSON is the commit mark.
So a killed run leaves no half record and no record that has lost its scores, and two runs may share a folder.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import gc
import hashlib
import io
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.archive import Archive, Content, write_archive
from bench.errors import BenchError, RecordUnreadable
from bench.files import write_whole
from bench.jobs import Job
from bench.record import Arrays, Record, require_one_length

LEFTOVER_SECONDS = 3600.0
"""How old a half written file must be to count as left behind."""
CHECKPOINTS = "checkpoints"
"""The folder, in a results folder, of trainings that are under way or were cut off: a file a job, named by its key."""


TUNING = "tuning"
"""The folder, in a results folder, of the jobs that compare settings before one is tested: itself a results folder."""


class _Found(NamedTuple):
    """A record as it lies: loose, or within an archive."""

    path: Path
    """Of a packed one, its archive and its place therein."""
    text: Callable[[], bytes]


class Store:
    """The records in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._archives = [Archive(path) for path in sorted(folder.glob("*.zip"))]

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
        return self.folder / _place(job)

    def get(self, job: Job) -> Record | None:
        """The record of a job; None where there is none. Raises RecordUnreadable where the file is damaged."""
        path = self.path(job)
        if path.is_file():
            return _read(_loose(path))
        archive = self.archive(job)
        return _read(_packed(archive, job.key)) if archive else None

    def holds(self, job: Job) -> bool:
        """Whether there is a record of the job, loose or packed, readable or not."""
        return self.path(job).is_file() or self.archive(job) is not None

    def archive(self, job: Job) -> Archive | None:
        """The archive that holds the job's record; None where it is loose or nowhere."""
        holding = (each for each in self._archives if job.key in each.places)
        return None if self.path(job).is_file() else next(holding, None)

    def put(self, record: Record, arrays: Arrays | None = None, maps: NDArray[np.float16] | None = None) -> None:
        """Write a record so that it is there whole or not at all. Raises BenchError where the folder refuses.

        ``maps``: of all test images, which go into a file of their own.
        """
        path = self.path(record.job)
        compressed = _compressed(arrays) if arrays is not None else None
        if compressed is not None:
            record = dataclasses.replace(record, scores_sha256=hashlib.sha256(compressed).hexdigest())
        compressed_maps = _compressed({"maps": maps}) if maps is not None else None
        if compressed_maps is not None:
            checksum = hashlib.sha256(compressed_maps).hexdigest()
            record = dataclasses.replace(record, maps={**record.maps, "sha256": checksum})
        text = record.to_json().encode()  # before anything is replaced: what JSON cannot hold fails here
        scores = _scores_path(path, record)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if compressed is not None:
                write_whole(scores, compressed)
            if compressed_maps is not None:
                write_whole(_maps_path(path, record), compressed_maps)
            before = _named(path)
            write_whole(path, text)
            for file in before - {scores, _maps_path(path, record)}:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise self.refusal(error) from error

    def refusal(self, error: OSError) -> BenchError:
        """The error for a folder that took nothing in the middle of a run."""
        return BenchError(
            f"cannot write to the results folder {self.folder}: {error}\n"
            "nothing that was finished before is lost; make room or name another folder with --results, "
            "then repeat the command: it goes on where it stopped"
        )

    def scores_path(self, record: Record) -> Path:
        """Where the per-image arrays of a record are."""
        return _scores_path(self.path(record.job), record)

    def files(self, record: Record) -> list[Path]:
        """The files that hold a record, its scores and kept maps: loose ones, of a failed job one, or the archive."""
        if archive := self.archive(record.job):
            return [archive.path]
        path = self.path(record.job)
        return [each for each in (path, self.scores_path(record), _maps_path(path, record)) if each.is_file()]

    def maps(self, record: Record) -> NDArray[np.float16]:
        """The score maps (n, height, width) of all test images, as shares of the largest value.

        Raises RecordUnreadable where they were not kept, or are not those recorded.
        """
        path = _maps_path(self.path(record.job), record)
        if "sha256" not in record.maps or self.archive(record.job):
            raise RecordUnreadable(
                f"{record.job.key[:12]} has no file of all its maps; bench run --keep-maps makes one"
            )
        try:
            compressed = path.read_bytes()
            if hashlib.sha256(compressed).hexdigest() != record.maps["sha256"]:
                raise ValueError("they are not those of its record")
            with np.load(io.BytesIO(compressed)) as file:
                maps: NDArray[np.float16] = file["maps"]
        except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
            raise RecordUnreadable(
                f"maps {path} cannot be read: {error}; run the job again with --rerun all --keep-maps"
            ) from error
        return maps

    def scores(self, record: Record) -> Arrays:
        """The per-image arrays of a record; of a packed one, its ranks for scores (see ``Archive.ranks``).

        Raises RecordUnreadable where they are absent or not those recorded.
        """
        if archive := self.archive(record.job):
            return archive.ranks(record)
        path = self.scores_path(record)
        try:
            compressed = path.read_bytes()
        except OSError as error:
            raise RecordUnreadable(f"scores {path} cannot be read: {error}") from error
        if hashlib.sha256(compressed).hexdigest() != record.scores_sha256:
            raise RecordUnreadable(f"scores {path} are not those of its record; run the job again with --rerun all")
        try:
            with np.load(io.BytesIO(compressed)) as file:
                arrays = {name: file[name] for name in file.files}
            require_one_length(arrays)
        except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
            raise RecordUnreadable(
                f"scores {path} hold no scores: {error}; run the job again with --rerun all"
            ) from error
        return arrays

    def records(self) -> tuple[list[Record], list[RecordUnreadable]]:
        """Every record in the folder, in order of path, and what could not be read."""
        found: list[Record] = []
        unreadable = [error for archive in self._archives if (error := archive.error)]
        with _uncollected():
            for each in self._everything():
                try:
                    found.append(_read(each))
                except RecordUnreadable as error:
                    unreadable.append(error)
        return found, unreadable

    def pack(self, records: Iterable[Record], path: Path) -> int:
        """Write loose records of this folder into an archive; how many of them had scores to go with them.

        The loose ones stay. Raises BenchError where the archive is there already or cannot be written.
        """
        if path.exists():
            raise BenchError(f"{path} is there already, and an archive is made once; name another with --out")
        contents = [self._content(record) for record in records]
        write_archive(path, contents)
        written = Archive(path)
        if any(written.text(content.record.job.key) != content.text for content in contents):
            raise BenchError(f"{path} does not hold what was written to it; see to the disk before anything else")
        return sum(content.arrays is not None for content in contents)

    def _content(self, record: Record) -> Content:
        path = self.path(record.job)
        scored = record.scores_sha256 is not None and self.scores_path(record).is_file()
        arrays = self.scores(record) if scored else None
        return Content(PurePosixPath(_place(record.job)), record, path.read_bytes(), arrays)

    def remove(self, record: Record) -> None:
        """Remove a loose record, its scores and its maps, the record first: what is left without one is no damage."""
        path = self.path(record.job)
        named = _named(path)
        path.unlink(missing_ok=True)
        for file in named:
            file.unlink(missing_ok=True)

    def forget_checkpoint(self, job: Job) -> None:
        """Remove what a job that has ended would have gone on from."""
        with contextlib.suppress(OSError):
            (self.folder / CHECKPOINTS / f"{job.key}.pt").unlink(missing_ok=True)

    def leftovers(self) -> list[Path]:
        """Files that killed runs left, at least an hour old: half written ones, scores that no record names, and
        checkpoints of jobs that are done.

        What is younger may belong to a run that is still writing. What such a run removes meanwhile is left out.
        """
        before = time.time() - LEFTOVER_SECONDS
        half_written = [*self.folder.glob("*/*/*/.*.tmp"), *self.folder.glob(f"{CHECKPOINTS}/.*.tmp")]
        candidates = [*half_written, *self._unnamed_scores(), *self._spent_checkpoints()]
        return sorted(path for path in candidates if _modified(path) < before)

    def _unnamed_scores(self) -> Iterator[Path]:
        for scores in self.folder.glob("*/*/*/*.npz"):
            path = scores.with_name(f"{scores.stem.partition('-')[0]}.json")
            with contextlib.suppress(RecordUnreadable):  # whose they are cannot be told
                if not path.exists() or scores not in _files_of(path, _read(_loose(path))):
                    yield scores

    def _spent_checkpoints(self) -> Iterator[Path]:
        for file in self.folder.glob(f"{CHECKPOINTS}/*.pt"):
            with contextlib.suppress(RecordUnreadable):
                if any(_read(found).status == "done" for found in self.matching(file.stem)):
                    yield file

    def find(self, prefix: str) -> Record:
        """The record whose key starts with ``prefix``. Raises BenchError where none or several do."""
        matches = self.matching(prefix)
        if len(matches) != 1:
            places = (each.path.relative_to(self.folder) for each in matches[:10])
            listed = "".join(f"\n  {place.stem}  {place.parent}" for place in places)
            found = f"{len(matches)} records have" if matches else "no record has"
            raise BenchError(f"{found} a key starting with {prefix!r} in {self.folder}{listed}")
        return _read(matches[0])

    def matching(self, prefix: str) -> list[_Found]:
        """The records whose keys start with ``prefix``, unread. Raises BenchError for what cannot begin a key."""
        if not re.fullmatch(r"[0-9a-f]{1,32}", prefix):
            raise BenchError(f"{prefix!r} is no key; keys are hexadecimal, bench status --json lists them")
        return [each for each in self._everything() if each.path.stem.startswith(prefix)]

    def _everything(self) -> list[_Found]:
        """Every record once, unread, in order of its place."""
        loose = (path for path in self.folder.glob("*/*/*/*.json") if not path.name.startswith("."))
        found = {path.stem: _loose(path) for path in loose}
        for archive in self._archives:
            for key in archive.places:
                found.setdefault(key, _packed(archive, key))
        return sorted(found.values(), key=lambda each: "/".join(each.path.parts[-4:]))


def _slug(dataset: str) -> str:
    """A folder name for a dataset's spec; one with parameters gets a short hash for them."""
    name, _, parameters = dataset.partition("(")
    return f"{name}-{hashlib.sha256(parameters.encode()).hexdigest()[:8]}" if parameters else name


def _loose(path: Path) -> _Found:
    return _Found(path, path.read_bytes)


def _packed(archive: Archive, key: str) -> _Found:
    return _Found(archive.path / archive.places[key], partial(archive.text, key))


def _read(found: _Found) -> Record:
    path = found.path
    try:
        record = Record.from_json(found.text())
    except (OSError, ValueError) as error:
        mend = f"remove it and repeat the run:  rm {path}" if path.is_file() else "fetch or make its archive again"
        raise RecordUnreadable(f"record {path} cannot be used: {error}\n{mend}") from error
    if record.job.key != path.stem:
        raise RecordUnreadable(f"record {path} belongs to another key, {record.job.key}; restore its name")
    place = _place(record.job)
    if path.parts[-4:-1] != place.parts[:3]:
        raise RecordUnreadable(f"record {path} belongs elsewhere, to {place.parent}; move it there")
    return record


def _place(job: Job) -> Path:
    """Where a job's record is, below the results folder."""
    return Path(_slug(job.dataset), job.protocol, job.method, f"{job.key}.json")


def _scores_path(path: Path, record: Record) -> Path:
    """Where the scores of a record lie, beside its file: under their checksum, or as they were called at first."""
    named = path.with_name(f"{path.stem}-{(record.scores_sha256 or 'none')[:16]}.npz")
    at_first = path.with_suffix(".npz")
    return at_first if record.scores_sha256 and not named.exists() and at_first.exists() else named


def _maps_path(path: Path, record: Record) -> Path:
    """Where the maps of all test images of a record lie, or would."""
    return path.with_name(f"{path.stem}-{record.maps.get('sha256', 'none')[:16]}-maps.npz")


def _files_of(path: Path, record: Record) -> set[Path]:
    """Where the scores and the maps of a record lie."""
    return {_scores_path(path, record), _maps_path(path, record)}


def _named(path: Path) -> set[Path]:
    """Where the scores and the maps of the record lie that a file holds now; empty if it holds none."""
    with contextlib.suppress(RecordUnreadable):
        if path.exists():
            return _files_of(path, _read(_loose(path)))
    return set()


def _modified(path: Path) -> float:
    """When a file was changed last; now where it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


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


def _compressed(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
