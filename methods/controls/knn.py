"""Distance to the k-th nearest training image: a control that needs no training.

Ramaswamy, Rastogi and Shim, Efficient algorithms for mining outliers from large data sets, SIGMOD 2000.
"""

from __future__ import annotations

from typing import Literal, Self

from bench.images import flattened
from bench.method import Count, FitContext, Images, Method, Scores, method


@method(version="1", cpu_only=True)
class NearestNeighbours(Method):
    """``neighbours`` is k; ``distance`` is that to the k-th (``largest``), or the mean over all k (``mean``)."""

    neighbours: Count = 5
    distance: Literal["largest", "mean"] = "largest"

    def fit(self, images: Images, context: FitContext) -> Self:
        from sklearn.neighbors import NearestNeighbors

        neighbours = min(self.neighbours, len(images))
        self.index = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(flattened(images))
        return self

    def score(self, images: Images) -> Scores:
        distances, _ = self.index.kneighbors(flattened(images))
        scores: Scores = distances[:, -1] if self.distance == "largest" else distances.mean(axis=1)
        return scores
