"""Protocols: how a dataset, a normal class and a seed become a split.

A split depends on (dataset, protocol, normal class, seed) alone, so every method meets the same images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import BenchError, unknown
from bench.randomness import derive_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.dataset import PreparedDataset

    Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Which images train and which test: indices into the dataset's images, and test labels (1 = anomalous).

    ``train`` (n,) holds images of the normal class only; ``test`` (m,) shares none of them.
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


@dataclass(frozen=True)
class Protocol:
    """A named, versioned way to split. ``seeded`` says whether the seed changes the split."""

    name: str
    version: int
    summary: str
    seeded: bool
    _split: Callable[[PreparedDataset, int, np.random.Generator], tuple[Indices, Indices]]
    _normal: Callable[[PreparedDataset], NDArray[np.bool_]]

    def normal_classes(self, dataset: PreparedDataset) -> list[str]:
        """The classes that can be the normal one under this protocol, in the dataset's order."""
        import numpy as np

        self._require(dataset)
        usable = np.bincount(dataset.labels[self._normal(dataset)], minlength=len(dataset.classes)) > 0
        return [name for name, there in zip(dataset.classes, usable, strict=True) if there]

    def split(self, dataset: PreparedDataset, normal_class: str, seed: int, max_train: int | None = None) -> Split:
        """The split for one normal class. Raises BenchError where the dataset does not allow it.

        ``max_train`` keeps that many of the training images, the same ones for every method; test images stay.
        """
        import numpy as np

        if normal_class not in (usable := self.normal_classes(dataset)):
            raise unknown(f"class of {dataset.spec} that can be normal under {self.name}", normal_class, usable)
        drawn = seed if self.seeded else 0
        generator = np.random.default_rng(derive_seed("split", dataset.name, self.name, normal_class, drawn))
        normal = dataset.label(normal_class)
        train, test = self._split(dataset, normal, generator)
        if max_train is not None and len(train) > max_train:
            train = np.sort(generator.choice(train, max_train, replace=False))
        labels = (dataset.labels[test] != normal).astype(np.uint8)
        if not len(train) or labels.all() or not labels.any():
            raise BenchError(
                f"{self.name} leaves {len(train)} training images, {int((labels == 0).sum())} normal and "
                f"{int(labels.sum())} anomalous test images for class {normal_class!r} of {dataset.spec}; each must "
                "be at least 1"
            )
        return Split(train.astype(np.int64), test.astype(np.int64), labels)

    def _require(self, dataset: PreparedDataset) -> None:
        if self.name != "holdout_80_20" and dataset.is_test is None:
            raise BenchError(f"{dataset.spec} has no official split, which {self.name} needs; use holdout_80_20")
        if self.name == "sibling_subclasses" and dataset.superclasses is None:
            raise BenchError(f"{dataset.spec} has no superclasses, which {self.name} needs; use official_split")


def protocol(name: str) -> Protocol:
    """The protocol of that name. Raises BenchError with the nearest names where there is none."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def _official(dataset: PreparedDataset, normal: int, generator: np.random.Generator) -> tuple[Indices, Indices]:
    import numpy as np

    assert dataset.is_test is not None
    return np.flatnonzero((dataset.labels == normal) & ~dataset.is_test), np.flatnonzero(dataset.is_test)


def _holdout(dataset: PreparedDataset, normal: int, generator: np.random.Generator) -> tuple[Indices, Indices]:
    import numpy as np

    own = generator.permutation(np.flatnonzero(dataset.labels == normal))
    others = np.flatnonzero(dataset.labels != normal)
    cut = round(0.8 * len(own))
    held_out = own[cut:]
    if len(others) < len(held_out):
        raise BenchError(
            f"holdout_80_20 needs as many anomalies as held-out normal images: {len(held_out)}, but {dataset.spec} "
            f"has {len(others)} images of other classes"
        )
    anomalies = generator.choice(others, len(held_out), replace=False)
    return np.sort(own[:cut]), np.sort(np.concatenate([held_out, anomalies]))


def _siblings(dataset: PreparedDataset, normal: int, generator: np.random.Generator) -> tuple[Indices, Indices]:
    import numpy as np

    assert dataset.superclasses is not None
    assert dataset.is_test is not None
    family = [i for i, name in enumerate(dataset.superclasses) if name == dataset.superclasses[normal]]
    train, test = _official(dataset, normal, generator)
    return train, test[np.isin(dataset.labels[test], family)]


def _training_images(dataset: PreparedDataset) -> NDArray[np.bool_]:
    assert dataset.is_test is not None
    return ~dataset.is_test


def _all_images(dataset: PreparedDataset) -> NDArray[np.bool_]:
    import numpy as np

    return np.ones(len(dataset.labels), dtype=bool)


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(
            "official_split",
            1,
            "the dataset's own split: training images of the normal class; all official test images (the paper's 2)",
            False,
            _official,
            _training_images,
        ),
        Protocol(
            "holdout_80_20",
            1,
            "80 % of the normal class trains; the other 20 % and as many random anomalies test (the paper's 1)",
            True,
            _holdout,
            _all_images,
        ),
        Protocol(
            "sibling_subclasses",
            1,
            "one subclass is normal, the other subclasses of its superclass are anomalous (the paper's Table 4)",
            False,
            _siblings,
            _training_images,
        ),
        Protocol(
            "train_test_folders",
            1,
            "the folders say it: train/<normal class>, test/<every class> (the layout of MVTec-AD)",
            False,
            _official,
            _training_images,
        ),
    )
}
"""Every protocol by name."""
