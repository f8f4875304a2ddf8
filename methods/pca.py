"""Squared error of reconstruction from principal components: the linear autoencoder, a cheap control."""

from __future__ import annotations

from typing import Self

import numpy as np

from bench.images import flattened
from bench.method import FitContext, Images, Method, Scores, method


@method(version="1")
class PrincipalComponents(Method):
    """What the leading principal components of the training images cannot explain of an image.

    ``explained``: share of the training images' variance that the kept components explain.
    """

    explained: float = 0.95

    def fit(self, images: Images, context: FitContext) -> Self:
        from sklearn.decomposition import PCA

        # a number of components below 1 is a share of the variance; one image has none to share
        components = self.explained if len(images) > 1 else 1
        self.model = PCA(n_components=components, svd_solver="full").fit(flattened(images))
        return self

    def score(self, images: Images) -> Scores:
        rows = flattened(images)
        explained = self.model.inverse_transform(self.model.transform(rows))
        scores: Scores = np.square(rows - explained).mean(axis=1)
        return scores
