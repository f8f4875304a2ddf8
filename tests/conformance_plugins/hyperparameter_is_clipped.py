"""Fault: fit overwrites a hyperparameter by what the training set allows."""

from typing import Self

from bench.images import flattened
from bench.method import FitContext, Images, method

from ._base import Centroid


@method(version="1")
class HyperparameterIsClipped(Centroid):
    most: int = 100

    def fit(self, images: Images, context: FitContext) -> Self:
        self.most = min(self.most, len(images))
        self.mean = flattened(images[: self.most]).mean(axis=0)
        return self
