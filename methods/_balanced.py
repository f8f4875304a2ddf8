"""Two losses of one network brought to one size, by the sizes of their gradients.

Tuluptceva et al., Perceptual image anomaly detection, ACPR 2019: the gradient-normalizing weight policy.
The authors take a sample every hundredth step and the median over two hundred of them too; here every step is one, for
trainings of a few hundred steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SMOOTHING = 0.05
"""Share of the newest step in the moving averages of gradients, the authors'."""
TINY = 1e-12


class Balanced(nn.Module):
    """A network's two losses brought to gradients of one size: the weight of the second beside the first.

    It is the median, over layers, of how many times larger the deviation of the first one's gradient is, of moving
    averages both. (Their common beginning at 0 cancels.)
    """

    deviations: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("deviations", torch.zeros(2, sum(weight.dim() > 1 for weight in network.parameters())))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.network(x)
        return made

    def descend(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> None:
        """Leave first + weight · second as the gradients of the network's parameters, which these are in order."""
        layers = [[each for each in gradients if each.dim() > 1] for gradients in (first, second)]
        now = torch.stack([torch.stack([each.std(correction=0) for each in gradients]) for gradients in layers])
        self.deviations.lerp_(now, SMOOTHING)
        of_first, of_second = self.deviations
        weight = (of_first / of_second.clamp(min=TINY)).median()
        for parameter, one, two in zip(self.network.parameters(), first, second, strict=True):
            parameter.grad = one + weight * two
