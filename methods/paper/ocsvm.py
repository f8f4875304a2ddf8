"""One-class SVM with an RBF kernel, through pyod, on raw pixels or with Ruff's preprocessing.

Schölkopf et al., Estimating the support of a high-dimensional distribution, 1999; preprocessing, ν and the candidates
of γ are those of Ruff et al., Deep one-class classification, ICML 2018. Their published figures used test labels, to
choose γ; whether those of other papers did is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

import numpy as np
from annotated_types import Gt, Le
from numpy.typing import NDArray

from bench.images import ContrastScaling, flattened
from bench.method import FitContext, Images, Method, Positive, Scores, method
from bench.randomness import global_generators_seeded
from bench.specs import Value

GAMMAS = tuple(2.0**power for power in range(-10, 0))
"""Ruff's candidates of γ, between which the authors chose by the AUROC on a labelled tenth of the test images."""

Rows = NDArray[np.float32]
"""Preprocessed images, (n, features)."""


@method(version="1", cpu_only=True)
class OneClassSVM(Method):
    """Distance to the boundary that holds all but a share ν of the training images.

    - ``nu``: upper bound on the share of training images outside the boundary.
    - ``preprocessing``: ``none`` takes pixels in [0, 1]; ``ruff`` applies L1 global contrast normalisation, scales to
      [0, 1] by the training set's extremes, and keeps the principal components with 95 % of the variance.
    - ``gamma``: of the kernel exp(−γ‖a − b‖²), chosen without labels: ``scale`` is 1 / (features · variance),
      ``median`` and ``max`` are 1 / the median and 1 / the largest squared distance between training images (``max`` is
      what the authors' code takes where it searches no grid); or a number.
    """

    nu: Annotated[float, Gt(0), Le(1)] = 0.1
    preprocessing: Literal["none", "ruff"] = "none"
    gamma: Literal["scale", "median", "max"] | Positive = "scale"

    def fit(self, images: Images, context: FitContext) -> Self:
        from pyod.models.ocsvm import OCSVM

        if self.preprocessing == "ruff":
            self._fit_ruff(images)
        self.rows = self._preprocessed(images)
        gamma: str | float = self.gamma
        if gamma == "median":
            gamma = 1.0 / _median_squared_distance(self.rows, context.seed)
        elif gamma == "max":
            gamma = 1.0 / _largest_squared_distance(self.rows)
        with global_generators_seeded(context.seed):  # libsvm draws from NumPy's
            self.model = OCSVM(kernel="rbf", nu=self.nu, gamma=gamma).fit(self.rows)
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = self.model.decision_function(self._preprocessed(images))
        return scores

    def candidates(self, images: Images) -> Iterator[tuple[Mapping[str, Value], Scores]]:
        """Scores under each γ of the authors' grid; the distances between images are computed once for all."""
        from sklearn.metrics.pairwise import euclidean_distances
        from sklearn.svm import OneClassSVM

        among_training = euclidean_distances(self.rows, squared=True).astype(np.float64)
        to_training = euclidean_distances(self._preprocessed(images), self.rows, squared=True)
        for gamma in GAMMAS:
            fitted = OneClassSVM(kernel="precomputed", nu=self.nu).fit(np.exp(-gamma * among_training))
            to_support = np.exp(-gamma * to_training[:, fitted.support_])
            yield {"gamma": gamma}, -(to_support @ fitted.dual_coef_[0] + fitted.intercept_[0])

    def _preprocessed(self, images: Images) -> Rows:
        if self.preprocessing == "none":
            return flattened(images)
        rows: Rows = self.pca.transform(self.scaling(images).reshape(len(images), -1))
        return rows

    def _fit_ruff(self, images: Images) -> None:
        from sklearn.decomposition import PCA

        self.scaling = ContrastScaling(images)
        self.pca = PCA(n_components=0.95, svd_solver="full").fit(self.scaling(images).reshape(len(images), -1))


def _median_squared_distance(rows: Rows, seed: int, sample: int = 1000) -> float:
    """The median over pairs of at most ``sample`` rows."""
    from sklearn.metrics import pairwise_distances

    chosen = np.random.default_rng(seed).permutation(len(rows))[:sample]
    squared = pairwise_distances(rows[np.sort(chosen)], metric="sqeuclidean")
    median = float(np.median(squared[np.triu_indices_from(squared, k=1)])) if len(chosen) > 1 else 0.0
    return median if median > 0 else 1.0


def _largest_squared_distance(rows: Rows) -> float:
    """Over all pairs of rows, a block of them at a time."""
    from sklearn.metrics import pairwise_distances_chunked

    blocks = pairwise_distances_chunked(rows, metric="euclidean", working_memory=64)  # MiB
    largest = max(float(block.max()) for block in blocks)
    return largest**2 if largest > 0 else 1.0
