"""Fault: images and brighter ones go through one batch norm in training, and images alone in scoring."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.method import Epoch, FitContext, Images, method
from bench.training import Step, adam, minimise, seeded, to_device, train

from ._compressed import Compressed


@method(version="1")
class KindsAreBlended(Compressed):
    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        pixels = images[0].size
        with seeded(context):
            self.network = nn.Sequential(
                nn.Linear(pixels, 32), nn.BatchNorm1d(32), nn.Tanh(), nn.Linear(32, 8), nn.Linear(8, pixels)
            )
        to_device(self.network, context)
        training = {"epochs": self.epochs, "batch_size": self.batch_size, "context": context}
        yield from train(self.network, self.step(context), images, **training)  # type: ignore[arg-type]

    def step(self, context: FitContext) -> Step:
        optimiser = adam(self.network.parameters(), lr=self.lr)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            loss = self.error(x).mean() + self.error(x + 1).mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step
