"""Fault: the score is a similarity."""

from bench.method import Images, Scores, method

from ._base import Centroid


@method(version="1")
class LargerMeansMoreNormal(Centroid):
    def score(self, images: Images) -> Scores:
        return -super().score(images)
