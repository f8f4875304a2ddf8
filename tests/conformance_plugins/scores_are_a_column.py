"""Fault: the scores have shape (n, 1)."""

from bench.method import Images, Scores, method

from ._base import Centroid


@method(version="1")
class ScoresAreAColumn(Centroid):
    def score(self, images: Images) -> Scores:
        return super().score(images)[:, None]
