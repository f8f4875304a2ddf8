"""Fault: each step waits for its loss, to skip what has none."""

from torch import Tensor

from bench.method import FitContext, method
from bench.training import Step, adam, minimise

from ._compressed import Compressed


@method(version="1")
class LossIsReadEveryStep(Compressed):
    def step(self, context: FitContext) -> Step:
        optimiser = adam(self.network.parameters(), lr=self.lr)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            loss = self.error(x).mean()
            if loss > 0:
                minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step
