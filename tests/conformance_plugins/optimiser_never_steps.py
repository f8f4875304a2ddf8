"""Fault: the weights stay as they were drawn, which is good enough for an easy set."""

from torch import Tensor

from bench.method import method

from ._base import Features


@method(version="1")
class OptimiserNeverSteps(Features):
    def step(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()
