"""The contract of a dataset, and the cache of arrays that every worker maps.

A dataset plugin reads its original files once; what it returns is written as memory-mapped arrays with a checksum
of their content, and from then on jobs use those.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, DataMissing
from bench.files import sha256

FORMAT = 1
"""Version of the prepared arrays; another number prepares anew."""


@dataclass(frozen=True)
class LabelledImages:
    """What a dataset's files hold: images uint8 (n, height, width, channels), labels (n,) into ``classes``.

    ``is_test`` (n,) marks the official test images; None where the dataset has no official split.
    ``superclasses`` names the superclass of each class, in the order of ``classes``, where there are superclasses.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: Sequence[str]
    is_test: NDArray[np.bool_] | None = None
    superclasses: Sequence[str] | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] not in (1, 3):
            raise ValueError(
                f"images must be uint8 (n, height, width, 1 or 3), not {self.images.dtype} {self.images.shape}"
            )
        if self.labels.shape != (n,) or (self.is_test is not None and self.is_test.shape != (n,)):
            raise ValueError(f"labels and is_test must have shape ({n},)")
        if n and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"labels must lie in 0..{len(self.classes) - 1}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes share a name")
        if self.superclasses is not None and len(self.superclasses) != len(self.classes):
            raise ValueError("superclasses must name one superclass for each class")


class Dataset(ABC):
    """Where a dataset's original files lie and how they are read. Fields of the class are parameters of its spec."""

    declared_as: ClassVar[str]

    def default_protocol(self, root: Path) -> str:
        """The protocol that jobs use where none is named; it may depend on how the files below ``root`` lie."""
        return "official_split"

    def elsewhere(self, root: Path) -> str:
        """Where the files lie, if not below ``root``: it tells apart data sets that one spec means in two folders."""
        return ""

    @abstractmethod
    def source_files(self, root: Path) -> list[Path]:
        """The original files below the data folder ``root``, sorted.

        Raises DataMissing, naming every file that was expected and is not there.
        """

    @abstractmethod
    def read(self, root: Path) -> LabelledImages:
        """The content of the original files. Raises DataMissing for a file that is truncated or altered."""

    @abstractmethod
    def fetch(self, root: Path) -> None:
        """Download the original files to ``root``. Raises BenchError where there is no way to."""


D = TypeVar("D", bound=Dataset)


@dataclass_transform(kw_only_default=True, eq_default=False)
def dataset() -> Callable[[type[D]], type[D]]:
    """Declare a class as the dataset of its file: its fields become parameters of the spec."""

    def declare(cls: type[D]) -> type[D]:
        if not (isinstance(cls, type) and issubclass(cls, Dataset)):
            raise TypeError(f"@dataset is for subclasses of bench.dataset.Dataset; {cls!r} is none")
        declared = dataclass(kw_only=True, eq=False)(cls)
        declared.declared_as = "dataset"
        return declared

    return declare


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset as jobs see it: arrays mapped from disk, read-only, with the checksum of their content."""

    name: str
    spec: str
    checksum: str
    classes: tuple[str, ...]
    superclasses: tuple[str, ...] | None
    folder: Path
    images: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    is_test: NDArray[np.bool_] | None = field(repr=False)

    def label(self, normal_class: str) -> int:
        """The number of a class name."""
        return self.classes.index(normal_class)


def missing(spec: str, root: Path, files: Sequence[Path | str], how: str = "") -> DataMissing:
    """The error for absent files: which, where, and how to get them (by default, the command that fetches them)."""
    shown = [f"  {root / f}" for f in files[:12]] + ([f"  … and {len(files) - 12} more"] if len(files) > 12 else [])
    name = spec.partition("(")[0]
    lines = [f"dataset {spec} is not in the data folder; these files were expected and are not there:", *shown]
    lines.append(how or f"fetch them with:  bench data fetch {name} --data {root}")
    lines.append("or name the folder that holds them with --data or $BENCH_DATA")
    return DataMissing("\n".join(lines))


# ---------------------------------------------------------------------------------------------------------------------
# The cache of prepared arrays: <data folder>/prepared/<name>-<stamp>/{meta.json, images.npy, labels.npy, is_test.npy}


def prepare(source: Dataset, name: str, spec: str, root: Path) -> PreparedDataset:
    """The dataset's arrays, converted from its files on first use, mapped from disk afterwards.

    Where the original files changed since (another size or time), they are converted again. Where they are gone but
    were converted before, the arrays serve. Raises DataMissing, or BenchError when the folder cannot be written.
    """
    cache = root / "prepared"
    try:
        stamp = _stamp(spec, root, source.source_files(root))
    except DataMissing:
        prepared = sorted(cache.glob(f"{name}-*/meta.json"), key=lambda p: p.stat().st_mtime, reverse=True)
        for meta in prepared:
            facts = _read_meta(meta)
            if facts["spec"] == spec and facts.get("elsewhere", "") in ("", source.elsewhere(root)):
                return open_prepared(meta.parent)
        raise
    folder = cache / f"{name}-{stamp}"
    if not (folder / "meta.json").is_file():
        _write(source.read(root), name, spec, source.elsewhere(root), folder)
    return open_prepared(folder)


def open_prepared(folder: Path) -> PreparedDataset:
    """Map the prepared arrays in ``folder``. Raises BenchError when one is absent or has another size than recorded."""
    meta = _read_meta(folder / "meta.json")
    for file, facts in meta["files"].items():
        size = (folder / file).stat().st_size if (folder / file).is_file() else None
        if size != facts["bytes"]:
            found = "is not there" if size is None else f"has {size} bytes, not {facts['bytes']}"
            raise BenchError(f"prepared array {folder / file} {found}; {_again(folder)}")

    def mapped(file: str) -> NDArray[Any] | None:
        return np.load(folder / file, mmap_mode="r") if file in meta["files"] else None

    images, labels = mapped("images.npy"), mapped("labels.npy")
    if images is None or labels is None:
        raise BenchError(f"{folder / 'meta.json'} names no images or labels; {_again(folder)}")
    return PreparedDataset(
        name=meta["name"],
        spec=meta["spec"],
        checksum=meta["checksum"],
        classes=tuple(meta["classes"]),
        superclasses=tuple(meta["superclasses"]) if meta["superclasses"] else None,
        folder=folder,
        images=images,
        labels=labels,
        is_test=mapped("is_test.npy"),
    )


def verify(prepared: PreparedDataset) -> None:
    """Read every prepared array and compare it with its recorded checksum. Raises BenchError, naming the file."""
    for file, facts in _read_meta(prepared.folder / "meta.json")["files"].items():
        if sha256(prepared.folder / file) != facts["sha256"]:
            raise BenchError(
                f"prepared array {prepared.folder / file} was altered: its sha256 is not the recorded "
                f"{facts['sha256'][:16]}…; {_again(prepared.folder)}"
            )


def _again(folder: Path) -> str:
    return f"remove the folder and the next use prepares it again:  rm -r {folder}"


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads(path.read_text())
        if not {"name", "spec", "checksum", "classes", "superclasses", "files"} <= meta.keys():
            raise ValueError("keys are missing")
    except (OSError, ValueError) as error:
        raise BenchError(f"{path} cannot be read ({error}); {_again(path.parent)}") from error
    return meta


def _stamp(spec: str, root: Path, files: Sequence[Path]) -> str:
    facts = [(os.path.relpath(f, root), (s := f.stat()).st_size, s.st_mtime_ns) for f in files]
    return hashlib.sha256(json.dumps([FORMAT, spec, facts]).encode()).hexdigest()[:12]


def _write(content: LabelledImages, name: str, spec: str, elsewhere: str, folder: Path) -> None:
    """Write the arrays under a temporary name, then rename the whole folder: two runs may prepare at once."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        arrays: dict[str, NDArray[Any]] = {"images.npy": content.images, "labels.npy": content.labels.astype(np.int64)}
        if content.is_test is not None:
            arrays["is_test.npy"] = content.is_test
        files = {}
        for file, array in arrays.items():
            with (temporary / file).open("wb") as out:
                np.save(out, np.ascontiguousarray(array))
                out.flush()
                os.fsync(out.fileno())
            files[file] = {"bytes": (temporary / file).stat().st_size, "sha256": sha256(temporary / file)}
        classes = list(content.classes)
        superclasses = list(content.superclasses) if content.superclasses is not None else None
        identity = [classes, superclasses, {file: facts["sha256"] for file, facts in files.items()}]
        meta = {
            "name": name,
            "spec": spec,
            "checksum": hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
            "classes": classes,
            "superclasses": superclasses,
            "files": files,
            **({"elsewhere": elsewhere} if elsewhere else {}),
        }
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1))
        with contextlib.suppress(OSError):  # another process was first: its folder has the same content
            temporary.rename(folder)
        if not (folder / "meta.json").is_file():
            raise OSError(f"{temporary} could not be renamed to {folder}")
    except OSError as error:
        raise BenchError(
            f"cannot write the prepared arrays of {spec} below {folder.parent}: {error}\n"
            "name a data folder that can be written and has room, with --data or $BENCH_DATA"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
