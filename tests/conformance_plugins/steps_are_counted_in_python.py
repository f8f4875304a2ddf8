"""Fault: every other step is larger, by a count that a graph does not know."""

from torch import Tensor

from bench.method import FitContext, method
from bench.training import Step, adam, minimise

from ._compressed import Compressed


@method(version="1")
class StepsAreCountedInPython(Compressed):
    resumable = False  # the count would be lost as well

    def step(self, context: FitContext) -> Step:
        optimiser = adam(self.network.parameters(), lr=self.lr)
        steps = 0

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            nonlocal steps
            steps += 1
            loss = self.error(x).mean() if steps % 2 else self.error(x).square().mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step
