"""Fault: the seed of the context is not used."""

import dataclasses
from collections.abc import Iterator

from bench.method import Epoch, FitContext, Images, method

from ._base import Features


@method(version="1")
class SeedIsFixed(Features):
    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        yield from super().fit_epochs(images, dataclasses.replace(context, seed=42))
