"""Squared error of reconstruction from principal components: the linear autoencoder, a cheap control."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.images import flattened
from bench.method import FitContext, Images, Method, Scores, Share, method


@method(version="1", cpu_only=True)
class PrincipalComponents(Method):
    """What the leading principal components of the training images cannot explain of an image.

    ``explained``: share of the training images' variance that the kept components explain.
    """

    explained: Share = 0.95

    def fit(self, images: Images, context: FitContext) -> Self:
        from sklearn.decomposition import PCA

        # a number of components below 1 is a share of the variance; one image has none to share
        components = self.explained if len(images) > 1 else 1
        self.model = PCA(n_components=components, svd_solver="full").fit(flattened(images))
        return self

    def score(self, images: Images) -> Scores:
        rows = flattened(images)
        scores: Scores = np.square(rows - self._explained(rows)).mean(axis=1)
        return scores

    def reconstruct(self, images: Images) -> Images:
        pixels = 255 * self._explained(flattened(images))
        return pixels.round().clip(0, 255).astype(np.uint8).reshape(images.shape)

    def _explained(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        explained: NDArray[np.float32] = self.model.inverse_transform(self.model.transform(rows))
        return explained
