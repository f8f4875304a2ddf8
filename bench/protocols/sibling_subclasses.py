"""One subclass is normal, the other subclasses of its superclass are anomalous.

Table 4 of the shared autoencoder's paper, on CIFAR-100.
"""

from __future__ import annotations

import numpy as np

from bench.dataset import PreparedDataset
from bench.errors import BenchError
from bench.protocol import Indices, Mask, Protocol, protocol


@protocol(version=1)
class SiblingSubclasses(Protocol):
    """Train: official training images of the subclass. Test: official test images of its whole superclass.

    The seed changes nothing.
    """

    needs_official_split = True

    def require(self, dataset: PreparedDataset) -> None:
        super().require(dataset)
        if dataset.superclasses is None:
            raise BenchError(f"{dataset.spec} has no superclasses, which {self.spec} needs; use official_split")

    def concerned(self, dataset: PreparedDataset, normal: Mask) -> Mask:
        superclasses = np.array(dataset.superclasses)
        family = np.isin(superclasses, superclasses[np.unique(dataset.labels[normal])])
        return family[dataset.labels]

    def divide(self, dataset: PreparedDataset, normal: Mask, generator: np.random.Generator) -> tuple[Indices, Indices]:
        is_test = self.official_test(dataset)
        return np.flatnonzero(normal & ~is_test), np.flatnonzero(self.concerned(dataset, normal) & is_test)
