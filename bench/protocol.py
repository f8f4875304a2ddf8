"""The contract of a protocol: how a dataset, a normal class and a seed become a split.

A split depends on (dataset, protocol, normal class, seed) alone, so every method meets the same images.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, unknown
from bench.randomness import derive_seed
from bench.specs import parse_spec

if TYPE_CHECKING:
    from bench.dataset import PreparedDataset
    from bench.registry import Registry

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

AND = "+"
"""Between the names of several normal classes."""


@dataclass(frozen=True)
class Split:
    """Which images train and which test: indices into the dataset's images, and test labels (1 = anomalous).

    ``train`` (n,) holds normal images only, but for the ``contamination`` that was asked for; ``test`` (m,) shares none
    of them.
    """

    train: Indices
    test: Indices
    test_labels: NDArray[np.uint8]

    @property
    def fingerprint(self) -> str:
        """A hash of which images train and test; figures of different fingerprints are not comparable."""
        digest = hashlib.sha256()
        for part in (self.train, self.test, self.test_labels):
            digest.update(part.tobytes() + b"|")
        return digest.hexdigest()[:16]


class Protocol(ABC):
    """A way to split. Fields of the class are parameters of its spec; a subclass writes ``divide``.

    ``version`` is part of the key of every job: raise it when a change makes other splits.
    """

    declared_as: ClassVar[str]
    version: ClassVar[int]
    declared_seeded: ClassVar[bool]
    needs_official_split: ClassVar[bool] = False
    anomalies_have_kinds: ClassVar[bool] = False
    """Whether anomalous classes are kinds of defects, which have figures of their own beside the whole."""
    spec: str = ""
    """Its name, with its parameters where these are not the defaults."""

    @property
    def seeded(self) -> bool:
        """Whether the seed changes the split, as declared; a protocol whose parameters decide that says so here."""
        return self.declared_seeded

    @abstractmethod
    def divide(self, dataset: PreparedDataset, normal: Mask, generator: np.random.Generator) -> tuple[Indices, Indices]:
        """Indices of the images that train, all of them normal, and of those that test, sorted.

        ``normal`` (n,) marks the normal images of the dataset. Whatever is drawn is drawn from ``generator``.
        """

    def require(self, dataset: PreparedDataset) -> None:
        """Raise BenchError for a dataset that this protocol cannot split."""
        if self.needs_official_split:
            self.official_test(dataset)

    def normal_sets(self, dataset: PreparedDataset) -> Mapping[str, frozenset[int]]:
        """By the name that a job's ``normal_class`` has, the labels that are normal: here each class by itself.

        A class needs an image that can train.
        """
        trainable = ~self.official_test(dataset) if self.needs_official_split else np.ones(len(dataset.labels), bool)
        there = set(np.unique(dataset.labels[trainable]).tolist())
        return {name: frozenset({label}) for label, name in enumerate(dataset.classes) if label in there}

    def concerned(self, dataset: PreparedDataset, normal: Mask) -> Mask:
        """The images (n,) among which anomalies can be for such normal ones: here all."""
        return np.ones(len(dataset.labels), bool)

    def official_test(self, dataset: PreparedDataset) -> Mask:
        """The official test images (n,). Raises BenchError for a dataset without an official split."""
        if dataset.is_test is None:
            raise BenchError(f"{dataset.spec} has no official split, which {self.spec} needs; use holdout_80_20")
        return dataset.is_test

    def normal_classes(self, dataset: PreparedDataset) -> list[str]:
        """What can be normal under this protocol, in the dataset's order. Several may be joined by ``+``."""
        self.require(dataset)
        return list(self.normal_sets(dataset))

    def named(self, dataset: PreparedDataset, wanted: str) -> str:
        """The ``normal_class`` that a user means by a name, by the number of a class, or by several joined by ``+``.

        Raises BenchError with the nearest names, or with what can be normal.
        """
        self.require(dataset)
        sets = self.normal_sets(dataset)
        pieces = [wanted] if wanted in sets else wanted.split(AND)
        found = {self._named(dataset, piece.strip(), sets) for piece in pieces}
        return AND.join(sorted(found, key=list(sets).index))

    def called(self, dataset: PreparedDataset, name: str) -> str:
        """The normal set that a user means by a class's name: here the class."""
        return name

    def _named(self, dataset: PreparedDataset, wanted: str, sets: Mapping[str, frozenset[int]]) -> str:
        if wanted in sets:
            return wanted
        is_number = wanted not in dataset.classes and wanted.isdecimal() and int(wanted) < len(dataset.classes)
        name = dataset.classes[int(wanted)] if is_number else wanted
        if name not in dataset.classes:
            raise unknown(f"class of {dataset.spec}", wanted, [*dataset.classes, *sets])
        if (normal := self.called(dataset, name)) not in sets:
            usable = [each for each in dataset.classes if self.called(dataset, each) in sets]
            shown = ", ".join(f"{each} ({dataset.label(each)})" for each in usable)
            raise BenchError(
                f"class {name} ({dataset.label(name)}) of {dataset.spec} has no training images in this copy of the "
                f"data; classes that can be normal: {shown}"
            )
        return normal

    def normal_labels(self, dataset: PreparedDataset, normal_class: str) -> frozenset[int]:
        """The labels of a job's normal class. Raises BenchError with the nearest names where it cannot be normal."""
        self.require(dataset)
        sets = self.normal_sets(dataset)
        names = [normal_class] if normal_class in sets else normal_class.split(AND)
        for name in names:
            if name not in sets:
                raise unknown(f"class of {dataset.spec} that can be normal under {self.spec}", name, sets)
        return frozenset[int]().union(*(sets[name] for name in names))

    def place(self, dataset: PreparedDataset, normal_class: str) -> int:
        """The number by which a normal class is sorted and called: for several, that of the first."""
        names = [normal_class] if normal_class in self.normal_sets(dataset) else normal_class.split(AND)
        return min(label for label, name in enumerate(dataset.classes) if self.called(dataset, name) in names)

    def split(
        self,
        dataset: PreparedDataset,
        normal_class: str,
        seed: int,
        max_train: int | None = None,
        contamination: float = 0.0,
    ) -> Split:
        """The split for a normal class. Raises BenchError where the dataset does not allow it.

        ``max_train`` keeps that many of the training images, the same ones for every method; test images stay.
        ``contamination`` replaces that share of the training images by anomalies that do not test: a larger share
        replaces those that a smaller one does, and further ones.
        """
        normal, train, test = self._divided(dataset, normal_class, seed, max_train)
        labels = (~normal[test]).astype(np.uint8)
        if not len(train) or labels.all() or not labels.any():
            raise BenchError(
                f"{self.spec} leaves {len(train)} training images, {int((labels == 0).sum())} normal and "
                f"{int(labels.sum())} anomalous test images for class {normal_class!r} of {dataset.spec}; each must "
                "be at least 1"
            )
        train = self._contaminated(dataset, normal, train, test, contamination, (normal_class, seed))
        return Split(train.astype(np.int64), test.astype(np.int64), labels)

    def training(
        self,
        dataset: PreparedDataset,
        normal_class: str,
        seed: int,
        max_train: int | None = None,
        contamination: float = 0.0,
    ) -> Indices:
        """The images (n,) that train, as in ``split``, for who must not know which images test; there need be none.

        Raises BenchError where the dataset does not allow it, or no image trains.
        """
        normal, train, test = self._divided(dataset, normal_class, seed, max_train)
        if not len(train):
            raise BenchError(f"{self.spec} leaves no training image for class {normal_class!r} of {dataset.spec}")
        train = self._contaminated(dataset, normal, train, test, contamination, (normal_class, seed))
        return train.astype(np.int64)

    def _divided(
        self, dataset: PreparedDataset, normal_class: str, seed: int, max_train: int | None
    ) -> tuple[Mask, Indices, Indices]:
        """The normal images (n,) of the dataset, and which images train and test, before any contamination."""
        normal = np.isin(dataset.labels, sorted(self.normal_labels(dataset, normal_class)))
        drawn = seed if self.seeded else 0
        generator = np.random.default_rng(derive_seed("split", dataset.name, self.spec, normal_class, drawn))
        train, test = self.divide(dataset, normal, generator)
        if max_train is not None and len(train) > max_train:
            train = np.sort(generator.choice(train, max_train, replace=False))
        return normal, train, test

    def _contaminated(
        self,
        dataset: PreparedDataset,
        normal: Mask,
        train: Indices,
        test: Indices,
        share: float,
        names: tuple[str, int],
    ) -> Indices:
        if not share:
            return train
        generator = np.random.default_rng(derive_seed("contamination", dataset.name, self.spec, *names))
        free = self.concerned(dataset, normal) & ~normal
        free[test] = False
        if dataset.is_test is not None and self.needs_official_split:
            free &= ~dataset.is_test
        count = round(share * len(train))
        anomalies = generator.permutation(np.flatnonzero(free))
        if count > len(anomalies):
            raise BenchError(
                f"contamination {share:g} of {len(train)} training images needs {count} anomalies that do not test, "
                f"and {self.spec} leaves {len(anomalies)} of {dataset.spec}; lower it, or use another protocol"
            )
        leaving = generator.permutation(len(train))[:count]
        return np.sort(np.concatenate([np.delete(train, leaving), anomalies[:count]]))


def open_protocol(text: str, protocols: Registry) -> Protocol:
    """The protocol of a spec. Raises BenchError with the nearest names where there is none."""
    spec = protocols.resolve(parse_spec(text))
    built: Protocol = protocols.build(spec)
    built.spec = str(spec)
    return built


P = TypeVar("P", bound=Protocol)


@dataclass_transform(kw_only_default=True, eq_default=False)
def protocol(*, version: int, seeded: bool = False) -> Callable[[type[P]], type[P]]:
    """Declare a class as the protocol of its file: its fields become parameters of the spec."""

    def declare(cls: type[P]) -> type[P]:
        if not (isinstance(cls, type) and issubclass(cls, Protocol)):
            raise TypeError(f"@protocol is for subclasses of bench.protocol.Protocol; {cls!r} is none")
        declared: Any = dataclass(kw_only=True, eq=False)(cls)
        declared.declared_as = "protocol"
        declared.version = version
        declared.declared_seeded = seeded
        return cls

    return declare
