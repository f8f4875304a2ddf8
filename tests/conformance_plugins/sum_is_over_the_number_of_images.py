"""Fault: the difference is averaged over the images of the call as well."""

from bench.images import flattened
from bench.method import Images, Scores, method

from ._base import Centroid


@method(version="1")
class SumIsOverTheNumberOfImages(Centroid):
    def score(self, images: Images) -> Scores:
        squared = (flattened(images) - self.mean) ** 2
        scores: Scores = squared.sum(axis=1) / squared.size
        return scores
