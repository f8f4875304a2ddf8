"""Fault: fit draws from a generator that is seeded by the clock."""

from typing import Self

import numpy as np

from bench.method import FitContext, Images, method

from ._base import Centroid


@method(version="1")
class SampleIsUnseeded(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        kept = np.random.default_rng().permutation(len(images))[: len(images) // 2 + 1]
        return super().fit(images[kept], context)
