"""pyod's own small networks, losses and optimisers, trained by this harness's loop: what is compared is the loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pyod.models.auto_encoder import AutoEncoderModel
from pyod.models.deep_svdd import InnerDeepSVDD
from torch import Tensor, nn

from bench.method import Epoch, EpochMethod, FitContext, Images, Scores, method
from bench.training import Step, adam, minimise, scored, seeded, train

HIDDEN = [64, 32]


def rows(batch: Tensor) -> Tensor:
    """Images as rows of floats in [0, 1]."""
    return batch.flatten(1).float() / 255


@method(version="1")
class PyodNetwork(EpochMethod):
    """Layers 784-64-32 of pyod: its Deep SVDD, or its autoencoder."""

    objective: Literal["svdd", "autoencoder"]
    epochs: int
    batch_size: int = 32

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        features = images[0].size
        with seeded(context):
            self.network: nn.Module = (
                InnerDeepSVDD(features, False, HIDDEN, "relu", "sigmoid", 0.2, 5e-7)
                if self.objective == "svdd"
                else AutoEncoderModel(features, HIDDEN)
            )
            step = self._svdd(images) if self.objective == "svdd" else self._autoencoder()
        yield from train(
            self.network, step, images, epochs=self.epochs, batch_size=self.batch_size, context=context, prepare=rows
        )

    def score(self, images: Images) -> Scores:
        def distance(x: Tensor) -> Tensor:
            target = self.centre if self.objective == "svdd" else x
            return (self.network(x) - target).square().sum(dim=1)

        return scored(distance, images, device=self.device, prepare=rows)

    def _svdd(self, images: Images) -> Step:
        self.centre: Tensor = self.network._init_c(rows(torch.from_numpy(images.copy())))
        weights = list(self.network.parameters())
        optimiser = adam(weights, lr=1e-4, weight_decay=5e-7)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            distance = (self.network(x) - self.centre).square().sum(dim=1).mean()
            loss = distance + 1e-6 * sum(torch.linalg.norm(weight) for weight in weights)
            minimise(loss, optimiser)
            return {"svdd": loss}

        return step

    def _autoencoder(self) -> Step:
        optimiser = adam(self.network.parameters(), lr=1e-3, weight_decay=1e-5)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            loss = (self.network(x) - x).square().mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step
