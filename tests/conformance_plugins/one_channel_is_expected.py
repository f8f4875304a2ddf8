"""Fault: the number of pixels leaves out the channels."""

from typing import Self

from bench.method import FitContext, Images, Scores, method

from ._base import Centroid


@method(version="1")
class OneChannelIsExpected(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        n, height, width, _ = images.shape
        self.mean = images.reshape(n, height * width).mean(axis=0)
        return self

    def score(self, images: Images) -> Scores:
        n, height, width, _ = images.shape
        scores: Scores = ((images.reshape(n, height * width) - self.mean) ** 2).mean(axis=1)
        return scores
