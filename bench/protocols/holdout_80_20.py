"""80 % of the normal class trains; the other 20 % and as many random anomalies test, whatever the official split.

Protocol 1 of the shared autoencoder's paper, after GPND and PIAD.
"""

from __future__ import annotations

import numpy as np

from bench.dataset import PreparedDataset
from bench.errors import BenchError
from bench.protocol import Indices, Mask, Protocol, protocol


@protocol(version=1, seeded=True)
class Holdout(Protocol):
    """Train: 80 % of all normal images, rounded to the nearest. Test: the others, and as many of all other classes.

    The seed draws both.
    """

    def divide(self, dataset: PreparedDataset, normal: Mask, generator: np.random.Generator) -> tuple[Indices, Indices]:
        own = generator.permutation(np.flatnonzero(normal))
        others = np.flatnonzero(~normal)
        cut = round(0.8 * len(own))
        held_out = own[cut:]
        if len(others) < len(held_out):
            raise BenchError(
                f"holdout_80_20 needs as many anomalies as held-out normal images: {len(held_out)}, but {dataset.spec} "
                f"has {len(others)} images of other classes"
            )
        anomalies = generator.choice(others, len(held_out), replace=False)
        return np.sort(own[:cut]), np.sort(np.concatenate([held_out, anomalies]))
