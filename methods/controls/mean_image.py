"""Squared distance to the mean training image: a control that any detector should beat."""

from __future__ import annotations

from typing import Self

import numpy as np

from bench.images import flattened
from bench.maps import blurred
from bench.method import FitContext, Images, Maps, Method, Scores, method


@method(version="1", cpu_only=True)
class MeanImage(Method):
    """Mean squared difference from the mean of the training images."""

    def fit(self, images: Images, context: FitContext) -> Self:
        self.mean = flattened(images).mean(axis=0)
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = ((flattened(images) - self.mean) ** 2).mean(axis=1)
        return scores

    def score_map(self, images: Images) -> Maps:
        difference = np.abs(flattened(images) - self.mean).reshape(images.shape)
        return blurred(difference.mean(axis=3))
