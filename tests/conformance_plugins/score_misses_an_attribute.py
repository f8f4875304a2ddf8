"""Fault: score asks for what fit did not set."""

from typing import Self

from bench.images import flattened
from bench.method import FitContext, Images, method

from ._base import Centroid


@method(version="1")
class ScoreMissesAnAttribute(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        self.average = flattened(images).mean(axis=0)
        return self
