"""Residual networks of the Wasserstein GAN with gradient penalty: a generator from vectors, and networks to vectors.

Gulrajani et al., Improved training of Wasserstein GANs, NeurIPS 2017, appendix and code, for images of 64×64; f-AnoGAN
has them with one channel. Smaller images have fewer blocks here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from torch import Tensor, nn

Norm = Callable[[int], nn.Module]
"""A normalisation of so many channels."""


def layer_norm(channels: int) -> nn.Module:
    """Over all of an image, with a scale and an offset for each channel."""
    return nn.GroupNorm(1, channels)


def _drawn(layer: nn.Conv2d | nn.Linear, gain: float) -> nn.Module:
    """The layer with weights from Glorot's uniform distribution, times a gain, and biases of 0."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _conv(inputs: int, outputs: int, *, gain: float = math.sqrt(2), bias: bool = True) -> nn.Module:
    return _drawn(nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), gain)


def _linear(inputs: int, outputs: int) -> nn.Module:
    return _drawn(nn.Linear(inputs, outputs), 1.0)


class Block(nn.Module):
    """Residual block that halves (``down``) or doubles the size of images."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, *, down: bool) -> None:
        super().__init__()
        inner = inputs if down else outputs
        before = nn.Identity() if down else nn.Upsample(scale_factor=2)
        after = nn.AvgPool2d(2) if down else nn.Identity()
        first = [norm(inputs), nn.ReLU(), before, _conv(inputs, inner, bias=False)]
        self.residual = nn.Sequential(*first, norm(inner), nn.ReLU(), _conv(inner, outputs), after)
        # a convolution of single pixels is the same before the enlarging as after it, and cheaper
        self.shortcut = nn.Sequential(after, _drawn(nn.Conv2d(inputs, outputs, 1), 1.0), before)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.shortcut(x) + self.residual(x)
        return result


def widths(size: int, width: int) -> list[int]:
    """Channels at ``size``, a power of 2, and at each half of it down to 4: width, 2·width, 4·, 8· and no more."""
    return [width * min(2**halvings, 8) for halvings in range(int(math.log2(size // 4)) + 1)]


def downwards(channels: int, at: list[int], outputs: int, norm: Norm) -> nn.Sequential:
    """Images (b, channels, size, size) → vectors (b, outputs), with ``at`` the widths of that size.

    The last layer is linear and sees the last block's outputs, (b, at[-1] · 4 · 4).
    """
    blocks = [Block(inputs, made, norm, down=True) for inputs, made in itertools.pairwise(at)]
    return nn.Sequential(_conv(channels, at[0], gain=1.0), *blocks, nn.Flatten(), _linear(16 * at[-1], outputs))


def upwards(channels: int, at: list[int], inputs: int) -> nn.Sequential:
    """Vectors (b, inputs) → images (b, channels, size, size) in (−1, 1), with ``at`` the widths of that size."""
    first = [_linear(inputs, 16 * at[-1]), nn.Unflatten(1, (at[-1], 4, 4))]
    blocks = [Block(wide, narrow, nn.BatchNorm2d, down=False) for wide, narrow in itertools.pairwise(reversed(at))]
    return nn.Sequential(*first, *blocks, nn.BatchNorm2d(at[0]), nn.ReLU(), _conv(at[0], channels), nn.Tanh())
