"""Fault: the score is a decision, 0 or 1."""

from typing import Self

import numpy as np

from bench.method import FitContext, Images, Scores, method

from ._base import Centroid


@method(version="1")
class ScoreDecides(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        super().fit(images, context)
        self.threshold = super().score(images).max()
        return self

    def score(self, images: Images) -> Scores:
        return (super().score(images) > self.threshold).astype(np.float32)
