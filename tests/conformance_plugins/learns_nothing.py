"""Fault: the score does not depend on the training images."""

from bench.images import flattened
from bench.method import Images, Scores, method

from ._base import Centroid


@method(version="1")
class LearnsNothing(Centroid):
    def score(self, images: Images) -> Scores:
        rows = flattened(images)
        scores: Scores = (rows * range(rows.shape[1])).mean(axis=1)
        return scores
