"""Fault: an image's contrast is divided by, which a blank image has none of."""

from typing import Self

import numpy as np

from bench.images import flattened
from bench.method import FitContext, Images, Scores, method

from ._base import Centroid


@method(version="1")
class BlankImagesDivideByZero(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        self.mean = self.normalised(images).mean(axis=0)
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = ((self.normalised(images) - self.mean) ** 2).mean(axis=1)
        return scores

    def normalised(self, images: Images) -> np.ndarray:
        rows = flattened(images)
        with np.errstate(invalid="ignore"):
            centred: np.ndarray = rows - rows.mean(axis=1, keepdims=True)
            return centred / rows.std(axis=1, keepdims=True)
