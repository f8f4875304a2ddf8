"""Fault: save leaves out a part of what was fitted."""

from pathlib import Path
from typing import Self

import torch

from bench.images import flattened
from bench.method import STATE, FitContext, Images, Scores, method

from ._base import Centroid


@method(version="1")
class ScaleIsNotSaved(Centroid):
    scale = 1.0  # no annotation: not a hyperparameter

    def fit(self, images: Images, context: FitContext) -> Self:
        self.scale = float(flattened(images).std())
        return super().fit(images, context)

    def score(self, images: Images) -> Scores:
        return super().score(images) / self.scale

    def save(self, folder: Path) -> None:
        torch.save({name: value for name, value in vars(self).items() if name != "scale"}, folder / STATE)
