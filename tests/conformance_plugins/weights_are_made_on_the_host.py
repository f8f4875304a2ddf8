"""Fault: what weighs the images of a batch is made on the host, wherever the batch is."""

import torch
from torch import Tensor

from bench.method import FitContext, method
from bench.training import Step, adam, minimise

from ._compressed import Compressed


@method(version="1")
class WeightsAreMadeOnTheHost(Compressed):
    def step(self, context: FitContext) -> Step:
        optimiser = adam(self.network.parameters(), lr=self.lr)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            loss = (self.error(x) * torch.linspace(0.5, 1.5, len(x))).mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step
