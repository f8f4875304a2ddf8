"""Fault: save leaves out what maps alone need."""

from pathlib import Path
from typing import Self

import torch

from bench.method import STATE, FitContext, Images, Maps, method

from ._base import Centroid


@method(version="1")
class ScaleOfMapsIsNotSaved(Centroid):
    def fit(self, images: Images, context: FitContext) -> Self:
        self.usual = float(images.std())
        return super().fit(images, context)

    def score_map(self, images: Images) -> Maps:
        return self.differences(images) / self.usual

    def save(self, folder: Path) -> None:
        torch.save({name: value for name, value in vars(self).items() if name != "usual"}, folder / STATE)
