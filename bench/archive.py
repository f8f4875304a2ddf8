"""Archives: the records of a suite in one zip file, for a repository. Made once, then only read.

Members are laid out as a results folder is. Beside each record, as it was written, ``<key>.npy`` holds the dense rank
of every test image's score: 0 for the lowest, equal scores sharing one. All figures that the order of scores tells
(AUROC, average precision, FPR, intervals, ROC curves) come out of ranks exactly. ``splits/<fingerprint>.npz`` holds
``labels`` and ``indices`` of the test images, once for all records of a split. The scores themselves, reconstructed
images and score maps stay behind.
"""

from __future__ import annotations

import functools
import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, RecordUnreadable
from bench.files import write_whole
from bench.metrics import measured
from bench.record import Arrays, Record, require_one_length

BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that the same records make the same archive."""


class Archive:
    """The records in one zip file. One that cannot be read holds none, and has an ``error``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: RecordUnreadable | None = None
        self._zip: zipfile.ZipFile | None = None
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            self.error = RecordUnreadable(f"archive {path} cannot be read: {error}; fetch or make it again")

    @functools.cached_property
    def places(self) -> Mapping[str, PurePosixPath]:
        """Where each record is among the members, by its key."""
        names = (PurePosixPath(name) for name in (self._zip.namelist() if self._zip else ()))
        return {name.stem: name for name in names if name.suffix == ".json"}

    def text(self, key: str) -> bytes:
        """The JSON of a record. Raises RecordUnreadable where it is damaged."""
        return self._member(self.places[key])

    def ranks(self, record: Record) -> Arrays:
        """``labels`` and ``indices`` of the test images, and as ``scores`` (n,) whole numbers, the ranks of theirs.

        Raises RecordUnreadable where they are damaged or were not packed.
        """
        place = self.places[record.job.key].with_suffix(".npy")
        ranks, split = self._member(place), self._member(_split_place(record))
        try:
            with np.load(io.BytesIO(split)) as file:
                arrays = {"labels": file["labels"], "indices": file["indices"]}
            arrays["scores"] = np.load(io.BytesIO(ranks)).astype(np.int64)
            require_one_length(arrays)
        except (ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RecordUnreadable(f"{place} in archive {self.path} holds no scores: {error}") from error
        return arrays

    def _member(self, place: PurePosixPath) -> bytes:
        assert self._zip is not None, "what is not there has no places"
        try:
            return self._zip.read(str(place))
        except KeyError as error:
            raise RecordUnreadable(f"archive {self.path} holds no {place}: there was none to pack") from error
        except (OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise RecordUnreadable(
                f"{place} in archive {self.path} is damaged: {error}; fetch or make the archive again"
            ) from error


class Content(NamedTuple):
    """A record for an archive: its place in a results folder, as it is, as it was written, and its arrays, if any."""

    place: PurePosixPath
    record: Record
    text: bytes
    arrays: Arrays | None


def write_archive(path: Path, contents: Iterable[Content]) -> None:
    """Make an archive; the same records make the same bytes.

    Raises BenchError where it cannot be written, or where a record's figures do not come out of its ranks.
    """
    members: dict[str, bytes] = {}
    for place, record, text, arrays in contents:
        members[str(place)] = text
        if arrays is not None:
            members[str(place.with_suffix(".npy"))] = _npy(_ranks(record, arrays))
            split = _npz(labels=arrays["labels"], indices=arrays["indices"].astype(np.uint32))
            if members.setdefault(str(_split_place(record)), split) != split:
                raise BenchError(
                    f"{record.job.key[:12]} ({record.job.title}) was tested on other images than records with the "
                    "same split; repeat one of them with bench run --rerun all"
                )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, BEGINNING)
            member.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(member, members[name], compresslevel=9)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, buffer.getvalue())
    except OSError as error:
        raise BenchError(f"cannot write the archive {path}: {error}; every record is where it was") from error


def _ranks(record: Record, arrays: Arrays) -> NDArray[np.unsignedinteger[Any]]:
    """Dense ranks of the scores, in 16 bits where these suffice."""
    values, ranks = np.unique(arrays["scores"], return_inverse=True)
    figures = {} if record.job.tuning else measured(arrays["labels"], ranks.astype(np.float64))
    if figures != {name: record.metrics.get(name) for name in figures}:
        raise BenchError(
            f"the figures of {record.job.key[:12]} ({record.job.title}) are not those of its scores; "
            "repeat it with bench run --rerun all"
        )
    return ranks.astype(np.uint16 if len(values) <= 1 << 16 else np.uint32)


def _split_place(record: Record) -> PurePosixPath:
    return PurePosixPath("splits", f"{record.split['fingerprint']}.npz")


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npz(**arrays: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the archive itself compresses
    return buffer.getvalue()
