"""Every third normal image tests, with all images of the other classes; the others train."""

from __future__ import annotations

import numpy as np

from bench.dataset import PreparedDataset
from bench.protocol import Indices, Mask, Protocol, protocol


@protocol(version=1)
class EveryThird(Protocol):
    """Train: two of three normal images, in the order of the data. Test: the third, and all other classes."""

    def divide(self, dataset: PreparedDataset, normal: Mask, generator: np.random.Generator) -> tuple[Indices, Indices]:
        own = np.flatnonzero(normal)
        third = np.arange(len(own)) % 3 == 2
        return own[~third], np.sort(np.concatenate([own[third], np.flatnonzero(~normal)]))
