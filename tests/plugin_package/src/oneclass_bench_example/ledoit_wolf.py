"""Mahalanobis distance to the mean training image, with the covariance shrunk so that it can be inverted.

Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from bench.images import flattened
from bench.method import FitContext, Images, Method, Scores, method


@method(version="1")
class LedoitWolf(Method):
    """(x − μ)ᵀ (Σ + ``ridge`` · I)⁻¹ (x − μ), with Ledoit and Wolf's estimate of Σ.

    ``ridge`` keeps the inverse finite where the training images do not differ at all.
    """

    ridge: float = 1e-3

    def fit(self, images: Images, context: FitContext) -> Self:
        from sklearn.covariance import ledoit_wolf

        rows = flattened(images).astype(np.float64)
        self.mean = rows.mean(axis=0)
        covariance, _ = ledoit_wolf(rows - self.mean, assume_centered=True)
        self.precision = np.linalg.inv(covariance + self.ridge * np.eye(len(covariance)))
        return self

    def score(self, images: Images) -> Scores:
        offsets = flattened(images) - self.mean
        scores: Scores = ((offsets @ self.precision) * offsets).sum(axis=1)
        return scores
