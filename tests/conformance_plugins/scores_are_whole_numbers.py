"""Fault: the scores are integers."""

import numpy as np

from bench.method import Images, Scores, method

from ._base import Centroid


@method(version="1")
class ScoresAreWholeNumbers(Centroid):
    def score(self, images: Images) -> Scores:
        return (1e6 * super().score(images)).astype(np.int64)  # type: ignore[return-value]
