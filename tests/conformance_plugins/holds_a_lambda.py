"""Fault: it holds what cannot be saved."""

from typing import Self

from bench.images import flattened
from bench.method import FitContext, Images, Scores, method

from ._base import Centroid


@method(version="1")
class HoldsALambda(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        mean = flattened(images).mean(axis=0)
        self.distance = lambda rows: ((rows - mean) ** 2).mean(axis=1)
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = self.distance(flattened(images))
        return scores
