"""Fault: the scores are scaled to [0, 1] by the extremes of the call."""

from bench.method import Images, Scores, method

from ._base import Centroid


@method(version="1")
class ScoresFillZeroToOne(Centroid):
    def score(self, images: Images) -> Scores:
        scores = super().score(images)
        scaled: Scores = (scores - scores.min()) / (scores.max() - scores.min() + 1e-9)
        return scaled
