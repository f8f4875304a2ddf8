"""Half of the normal images train; the other half, and all others, test."""

from __future__ import annotations

import numpy as np

from bench.dataset import PreparedDataset
from bench.protocol import Indices, Mask, Protocol, protocol


@protocol(version=1, seeded=True)
class MyProtocol(Protocol):
    """Train: ``share`` of the normal images, drawn by the seed. Test: every other image of the dataset."""

    share: float = 0.5

    def divide(self, dataset: PreparedDataset, normal: Mask, generator: np.random.Generator) -> tuple[Indices, Indices]:
        own = generator.permutation(np.flatnonzero(normal))
        cut = round(self.share * len(own))
        return np.sort(own[:cut]), np.sort(np.concatenate([own[cut:], np.flatnonzero(~normal)]))
