"""Fault: fit has no return statement."""

from bench.method import FitContext, Images, method

from ._base import Centroid


@method(version="1")
class FitReturnsNothing(Centroid):
    def fit(self, images: Images, context: FitContext) -> None:  # type: ignore[override]
        super().fit(images, context)
