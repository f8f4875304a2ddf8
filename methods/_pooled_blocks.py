"""Blocks of a convolution, batch norm, leaky ReLU and pooling by two: what LeNet-type networks begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, MultipleOf
from torch import nn

from bench.methods._lenet import SLOPE

SidesInEighths = Annotated[int, Ge(8), MultipleOf(8)]
"""Sizes that three blocks can halve."""


def pooled_blocks(channels: int, widths: Sequence[int], *, kernel: int, bias: bool) -> list[nn.Module]:
    """The layers of a block for each width, for images (b, channels, size, size); ``bias``: norms too."""
    layers: list[nn.Module] = []
    for before, after in zip((channels, *widths), widths, strict=False):
        layers += [
            nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=bias),
            nn.BatchNorm2d(after, eps=1e-4, affine=bias),
            nn.LeakyReLU(SLOPE),
            nn.MaxPool2d(2),
        ]
    return layers
