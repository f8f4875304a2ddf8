"""The dataset's own split: training images of the normal class; all official test images.

Protocol 2 of the shared autoencoder's paper, and how Deep SVDD, OCGAN and most of one-class classification on MNIST and
CIFAR-10 are measured.
"""

from __future__ import annotations

import numpy as np

from bench.dataset import PreparedDataset
from bench.protocol import Indices, Mask, Protocol, protocol


@protocol(version=1)
class OfficialSplit(Protocol):
    """Train: normal images of the official training set. Test: the whole official test set.

    The seed changes nothing.
    """

    needs_official_split = True

    def divide(self, dataset: PreparedDataset, normal: Mask, generator: np.random.Generator) -> tuple[Indices, Indices]:
        is_test = self.official_test(dataset)
        return np.flatnonzero(normal & ~is_test), np.flatnonzero(is_test)
