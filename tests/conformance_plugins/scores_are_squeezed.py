"""Fault: one image alone has a score of shape ()."""

import numpy as np

from bench.method import Images, Scores, method

from ._base import Centroid


@method(version="1")
class ScoresAreSqueezed(Centroid):
    def score(self, images: Images) -> Scores:
        scores: Scores = np.squeeze(super().score(images)[:, None])
        return scores
