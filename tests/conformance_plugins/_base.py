"""Two detectors without a fault, which the broken ones are made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from bench.images import flattened
from bench.method import Epoch, EpochMethod, FitContext, Images, Maps, Method, Scores, method
from bench.training import seeded


@method(version="1")
class Centroid(Method):
    """Mean squared difference from the mean training image."""

    def fit(self, images: Images, context: FitContext) -> Self:
        self.mean = flattened(images).mean(axis=0)
        return self

    def score(self, images: Images) -> Scores:
        scores: Scores = ((flattened(images) - self.mean) ** 2).mean(axis=1)
        return scores

    def differences(self, images: Images) -> Maps:
        """How far each pixel is from the mean, (n, height, width)."""
        maps: Maps = np.abs(flattened(images) - self.mean).reshape(images.shape).mean(axis=3)
        return maps


@method(version="1")
class Features(EpochMethod):
    """Distance to the mean of the training images' features, which an autoencoder of one hidden layer learns."""

    epochs: int = 3
    batch_size: int = 16
    lr: float = 1e-3

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        rows = torch.from_numpy(flattened(images))
        with seeded(context):
            self.network = self.built(rows.shape[1])
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=self.lr)
        for number in range(1, self.epochs + 1):
            with seeded(context, number):
                loss = self.epoch(rows)
            self.centre = self.features(rows).mean(dim=0)
            yield Epoch(number, self.epochs, {"reconstruction": loss})

    def score(self, images: Images) -> Scores:
        rows = torch.from_numpy(flattened(images))
        scores: Scores = (self.features(rows) - self.centre).square().mean(dim=1).numpy()
        return scores

    def built(self, pixels: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(pixels, 16), nn.Linear(16, pixels))

    def epoch(self, rows: Tensor) -> float:
        """Train for one epoch; returns the loss of its last batch."""
        self.network.train()
        for batch in rows[torch.randperm(len(rows))].split(self.batch_size):
            loss = (self.network(batch) - batch).square().sum(dim=1).mean()
            self.step(loss)
        return loss.item()

    def step(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    @torch.no_grad()
    def features(self, rows: Tensor) -> Tensor:
        """What the network makes of rows, layer by layer up to the hidden one."""
        self.network.eval()
        features: Tensor = self.network[:-1](rows)
        return features
