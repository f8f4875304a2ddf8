"""Kernel density estimate on contrast-normalised pixels, reduced by PCA: a shallow baseline of Deep SVDD's authors.

Parzen, On estimation of a probability density function and mode, 1962; preprocessing and the candidates of the
bandwidth are those of Ruff et al., Deep one-class classification, ICML 2018, and of their code.
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.images import ContrastScaling
from bench.method import FitContext, Images, Method, Scores, method
from bench.randomness import derive_seed

BANDWIDTHS = np.logspace(-4.5, 5, num=20, base=2)
"""Ruff's candidates, 2^−4.5, 2^−4 … 2^5."""


@method(version="1", cpu_only=True)
class KernelDensityEstimate(Method):
    """Anomaly score: −log p(x), where p has a Gaussian kernel on every training image.

    Images are contrast-normalised by the L1 norm, scaled to [0, 1] by the training set's extremes, and reduced to the
    principal components that explain most of the variance. The bandwidth is the candidate under which held-out training
    images are likeliest.

    - ``explained``: share of the training images' variance that the kept components explain; 1 keeps the pixels. What
      all training images have in common is in no component, so that an image without it is not noticed by that.
    - ``folds``: of the cross-validation, drawn by the seed; as many as there are training images where these are fewer.
    """

    explained: Annotated[float, Gt(0), Le(1)] = 0.95
    folds: Annotated[int, Ge(2)] = 5

    def fit(self, images: Images, context: FitContext) -> Self:
        from sklearn.decomposition import PCA
        from sklearn.model_selection import GridSearchCV, KFold
        from sklearn.neighbors import KernelDensity

        if len(images) < 2:
            raise BenchError("kde chooses its bandwidth by cross-validation, for which it needs two images or more")
        self.scaling = ContrastScaling(images)
        self.pca = PCA(n_components=self.explained, svd_solver="full") if self.explained < 1 else None
        if self.pca is not None:
            self.pca.fit(self._scaled(images))
        seed = derive_seed(context.seed, "folds") % 2**32
        folds = KFold(min(self.folds, len(images)), shuffle=True, random_state=seed)
        # one leaf, so that every kernel is summed: in a hundred dimensions the bounds of a deeper tree lose all digits
        exact = KernelDensity(leaf_size=len(images))
        search = GridSearchCV(exact, {"bandwidth": BANDWIDTHS}, cv=folds).fit(self._reduced(images))
        self.density = search.best_estimator_
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = -self.density.score_samples(self._reduced(images))
        return scores

    def _scaled(self, images: Images) -> NDArray[np.float32]:
        return self.scaling(images).reshape(len(images), -1)

    def _reduced(self, images: Images) -> NDArray[np.float32]:
        rows = self._scaled(images)
        return rows if self.pca is None else self.pca.transform(rows)
