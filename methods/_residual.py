"""Residual networks without normalisation, between images and vectors: those of PIAD and of the perceptual autoencoder.

The authors' code: activations before convolutions, leaky ReLUs, average pooling, nearest neighbours, no bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

SLOPE = 0.2
LEAST = 4
"""Height and width of the features between the blocks and the vector."""


def initialise(network: nn.Module) -> None:
    """Draw convolutions from Kaiming's normal distribution, which keeps gradients as large from layer to layer.

    Without normalisation nothing else would: with DCGAN's weights signals fade, and critics begin with no slope.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # torch counts what a weight leads to by its first dimension, which in a transposed layer is the other one
            nn.init.kaiming_normal_(layer.weight, SLOPE, "fan_out" if isinstance(layer, nn.Conv2d) else "fan_in")


class Block(nn.Module):
    """x + two convolutions of it, (b, inputs, …) → (b, outputs, …), ``down`` to half the size or ``up`` to twice."""

    def __init__(self, inputs: int, outputs: int, scale: str = "") -> None:
        super().__init__()
        self.scale: nn.Module = nn.Identity()
        if scale:
            self.scale = nn.AvgPool2d(2) if scale == "down" else nn.Upsample(scale_factor=2)
        self.up_first = scale == "up"
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.past: nn.Module = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        act = nn.functional.leaky_relu
        if self.up_first:  # neighbours are copied before the convolutions, averaged after them
            x = self.scale(x)
        made: Tensor = self.past(x) + self.second(act(self.first(act(x, SLOPE)), SLOPE))
        return made if self.up_first else self.scale(made)


class Downwards(nn.Sequential):
    """Images (b, channels, size, size) → (b, outputs): a block for each width, all but the first halving the size."""

    def __init__(self, channels: int, widths: Sequence[int], outputs: int, size: int) -> None:
        left = size >> (len(widths) - 1)
        super().__init__(
            nn.Conv2d(channels, widths[0], 3, padding=1),
            *(Block(inputs, inner, "down") for inputs, inner in pairwise(widths)),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(widths[-1] * left * left, outputs),
        )


class Upwards(nn.Sequential):
    """Vectors (b, inputs) → images (b, channels, size, size), not bounded; the mirror of ``Downwards``."""

    def __init__(self, channels: int, widths: Sequence[int], inputs: int, size: int) -> None:
        left = size >> (len(widths) - 1)
        super().__init__(
            nn.Linear(inputs, widths[0] * left * left),
            nn.Unflatten(1, (widths[0], left, left)),
            *(Block(before, after, "up") for before, after in pairwise(widths)),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(widths[-1], channels, 3, padding=1),
        )
