"""Distance to the mean training image, in standardised pixels."""

from __future__ import annotations

from typing import Self

import numpy as np

from bench.images import flattened
from bench.method import FitContext, Images, Method, Scores, method


@method(version="1")
class MyMethod(Method):
    """Mean over pixels of ((x − mean) / deviation)², with mean and deviation of that pixel in training.

    ``floor`` is the smallest deviation, for pixels in [0, 1]: without it a pixel that hardly changes decides alone.
    """

    floor: float = 0.1

    def fit(self, images: Images, context: FitContext) -> Self:
        rows = flattened(images)
        self.mean = rows.mean(axis=0)
        self.deviation = np.maximum(rows.std(axis=0), self.floor)
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = np.square((flattened(images) - self.mean) / self.deviation).mean(axis=1)
        return scores
