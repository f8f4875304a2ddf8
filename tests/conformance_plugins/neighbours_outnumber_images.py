"""Fault: it asks for five neighbours, however few training images there are."""

from typing import Self

from sklearn.neighbors import NearestNeighbors

from bench.images import flattened
from bench.method import FitContext, Images, Scores, method

from ._base import Centroid


@method(version="1")
class NeighboursOutnumberImages(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        self.index = NearestNeighbors(n_neighbors=5).fit(flattened(images))
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = self.index.kneighbors(flattened(images))[0].mean(axis=1)
        return scores
