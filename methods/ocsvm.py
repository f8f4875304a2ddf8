"""One-class SVM with an RBF kernel, through pyod, on raw pixels or with Ruff's preprocessing.

Schölkopf et al., Estimating the support of a high-dimensional distribution, 1999; preprocessing and ν of
Ruff et al., Deep one-class classification, ICML 2018.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from bench.images import ContrastScaling, flattened
from bench.method import FitContext, Images, Method, Scores, method
from bench.randomness import global_generators_seeded


@method(version="1")
class OneClassSVM(Method):
    """Distance to the boundary that holds all but a share ν of the training images.

    - ``nu``: upper bound on the share of training images outside the boundary.
    - ``preprocessing``: ``none`` takes pixels in [0, 1]; ``ruff`` applies L1 global contrast normalisation, scales to
      [0, 1] by the training set's extremes, and keeps the principal components with 95 % of the variance.
    - ``gamma``: of the kernel exp(−γ‖a − b‖²), chosen without labels: ``scale`` is 1 / (features · variance),
      ``median`` is 1 / the median squared distance between training images; or a number.
    """

    nu: float = 0.1
    preprocessing: Literal["none", "ruff"] = "none"
    gamma: Literal["scale", "median"] | float = "scale"

    def fit(self, images: Images, context: FitContext) -> Self:
        from pyod.models.ocsvm import OCSVM

        rows = self._fit_ruff(images) if self.preprocessing == "ruff" else flattened(images)
        gamma = 1.0 / _median_squared_distance(rows, context.seed) if self.gamma == "median" else self.gamma
        with global_generators_seeded(context.seed):  # libsvm draws from NumPy's
            self.model = OCSVM(kernel="rbf", nu=self.nu, gamma=gamma).fit(rows)
        return self

    def score(self, images: Images) -> Scores:
        rows = self._ruff(images) if self.preprocessing == "ruff" else flattened(images)
        scores: Scores = self.model.decision_function(rows)
        return scores

    def _fit_ruff(self, images: Images) -> NDArray[np.float32]:
        from sklearn.decomposition import PCA

        self.scaling = ContrastScaling(images)
        self.pca = PCA(n_components=0.95, svd_solver="full").fit(self.scaling(images).reshape(len(images), -1))
        return self._ruff(images)

    def _ruff(self, images: Images) -> NDArray[np.float32]:
        transformed: NDArray[np.float32] = self.pca.transform(self.scaling(images).reshape(len(images), -1))
        return transformed


def _median_squared_distance(rows: NDArray[np.float32], seed: int, sample: int = 1000) -> float:
    """The median over pairs of at most ``sample`` rows."""
    from sklearn.metrics import pairwise_distances

    chosen = np.random.default_rng(seed).permutation(len(rows))[:sample]
    squared = pairwise_distances(rows[np.sort(chosen)], metric="sqeuclidean")
    median = float(np.median(squared[np.triu_indices_from(squared, k=1)])) if len(chosen) > 1 else 0.0
    return median if median > 0 else 1.0
