"""Fault: images are shrunk by two, which odd sides do not allow."""

from typing import Self

from bench.method import FitContext, Images, Scores, method

from ._base import Centroid


@method(version="1")
class SidesAreHalved(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        self.mean = halved(images).mean(axis=0)
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = ((halved(images) - self.mean) ** 2).mean(axis=(1, 2, 3))
        return scores


def halved(images: Images) -> Scores:
    n, height, width, channels = images.shape
    means: Scores = images.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
    return means
