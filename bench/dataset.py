"""The contract of a dataset: what a plugin reads from its original files, and what jobs see of it.

What a plugin reads is written once, as memory-mapped arrays with a checksum of their content (``bench.prepared``), and
from then on jobs use those.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar, dataclass_transform

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataMissing
from bench.mapped import MappedImages

T_co = TypeVar("T_co", covariant=True)


class Each(Protocol[T_co]):
    """Something for each image, in the order of the images, got when it is asked for; a list is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> T_co: ...


@dataclass(frozen=True)
class LabelledImages:
    """What a dataset's files hold: images and their labels (n,) into ``classes``.

    ``images`` is an array, uint8 (n, height, width, channels). Or, where they have several sizes or are many, it gives
    one image, uint8 (height, width, 1 or 3), at a time: each is asked for once, in order, and may be read only then.
    Such a dataset has a parameter ``size``: height and width in pixels of what a job gets.
    ``is_test`` (n,) marks the official test images; None where the dataset has no official split.
    ``superclasses`` names the superclass of each class, in the order of ``classes``, where there are superclasses.
    ``masks`` gives the mask of each image, bool (height, width) at the image's own size and True where it is anomalous,
    or None for one that is normal everywhere. None where the dataset has no masks.
    """

    images: NDArray[np.uint8] | Each[NDArray[np.uint8]]
    labels: NDArray[np.int64]
    classes: Sequence[str]
    is_test: NDArray[np.bool_] | None = None
    superclasses: Sequence[str] | None = None
    masks: Each[NDArray[np.bool_] | None] | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if isinstance(self.images, np.ndarray):
            require_uint8(self.images, "images", "n, height, width, 1 or 3")
        if self.masks is not None and len(self.masks) != n:
            raise ValueError(f"masks must have an entry for each of {n} images, not {len(self.masks)}")
        if self.labels.shape != (n,) or (self.is_test is not None and self.is_test.shape != (n,)):
            raise ValueError(f"labels and is_test must have shape ({n},)")
        if n and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"labels must lie in 0..{len(self.classes) - 1}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes share a name")
        if self.superclasses is not None and len(self.superclasses) != len(self.classes):
            raise ValueError("superclasses must name one superclass for each class")


def require_uint8(images: NDArray[np.uint8], name: str, shape: str) -> None:
    """Raise ValueError for an array that does not hold images of 1 or 3 channels with the axes of ``shape``."""
    if images.dtype != np.uint8 or images.ndim != shape.count(",") + 1 or images.shape[-1] not in (1, 3):
        raise ValueError(f"{name} must be uint8 ({shape}), not {images.dtype} {images.shape}")


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
    """A dataset as jobs see it: arrays mapped from disk, read-only, with the checksum of their content.

    ``images[indices]`` is always uint8 (k, height, width, channels). Where the images have several sizes, they are
    brought to the ``size`` of the spec when they are asked for; the checksum is that of the images at their own sizes.
    ``masks[i]`` is that of image i, bool (height, width) at the image's own size, False everywhere for a normal image.
    """

    name: str
    spec: str
    checksum: str
    classes: tuple[str, ...]
    superclasses: tuple[str, ...] | None
    folder: Path
    images: NDArray[np.uint8] | MappedImages = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    is_test: NDArray[np.bool_] | None = field(repr=False)
    masks: Each[NDArray[np.bool_]] | None = field(default=None, repr=False)
    size: int | None = None
    """Height and width that images of several sizes come at; None where they all have one."""

    def label(self, normal_class: str) -> int:
        """The number of a class name."""
        return self.classes.index(normal_class)

    def labels_of(self, name: str) -> list[int]:
        """The numbers of the classes that a name means: of a class, or of all of a superclass; none for other names."""
        if name in self.classes:
            return [self.label(name)]
        return [label for label, family in enumerate(self.superclasses or ()) if family == name]


def missing(spec: str, root: Path, files: Sequence[Path | str], how: str = "") -> DataMissing:
    """The error for absent files: which, where, and how to get them (by default, the command that fetches them)."""
    shown = [f"  {root / f}" for f in files[:12]] + ([f"  … and {len(files) - 12} more"] if len(files) > 12 else [])
    name = spec.partition("(")[0]
    lines = [f"dataset {spec} is not in the data folder; these files were expected and are not there:", *shown]
    lines.append(how or f"fetch them with:  bench data fetch {name} --data {root}")
    lines.append("or name the folder that holds them with --data or $BENCH_DATA")
    return DataMissing("\n".join(lines))
