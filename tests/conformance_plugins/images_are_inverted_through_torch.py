"""Fault: score writes into the images that it was given, in a way that does not notice that they are read-only."""

import warnings

import torch

from bench.method import Images, Scores, method

from ._base import Centroid


@method(version="1")
class ImagesAreInvertedThroughTorch(Centroid):
    def score(self, images: Images) -> Scores:
        scores = super().score(images)
        with warnings.catch_warnings(action="ignore"):
            torch.from_numpy(images).neg_()
        return scores
