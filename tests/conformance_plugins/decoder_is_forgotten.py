"""Fault: the optimiser has the encoder alone."""

import torch
from torch import Tensor

from bench.method import method

from ._base import Features


@method(version="1")
class DecoderIsForgotten(Features):
    def step(self, loss: Tensor) -> None:
        self.optimiser = torch.optim.SGD(self.network[0].parameters(), lr=self.lr)
        super().step(loss)
