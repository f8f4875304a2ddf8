"""Fault: the score has noise of its own, as that of a network in training mode with dropout."""

from typing import Self

import numpy as np

from bench.method import FitContext, Images, Scores, method

from ._base import Centroid


@method(version="1")
class ScoreDrawsNoise(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        self.random = np.random.default_rng(context.seed)
        return super().fit(images, context)

    def score(self, images: Images) -> Scores:
        scores: Scores = super().score(images) * self.random.uniform(0.9, 1.1, len(images))
        return scores
