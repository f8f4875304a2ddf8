"""A plain U-Net: two convolutions a level, pooling on the way down, interpolation and skips on the way up."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _convolutions(inputs: int, between: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, between, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(between, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class Doubling(nn.Module):
    """Bilinear interpolation (b, channels, side, side) → twice the side, corners on corners, and zeros around it where
    ``wanted`` is larger than that.

    As products with a matrix, since torch's own has a gradient that a GPU sums in any order.
    """

    weights: Tensor

    def __init__(self, side: int, wanted: int) -> None:
        super().__init__()
        weights = torch.zeros(wanted, side)
        before = (wanted - 2 * side) // 2
        # each column is what the interpolation makes of one pixel
        columns = nn.functional.interpolate(torch.eye(side)[:, None], size=2 * side, mode="linear", align_corners=True)
        weights[before : before + 2 * side] = columns[:, 0].T
        self.register_buffer("weights", weights)

    def forward(self, x: Tensor) -> Tensor:
        doubled: Tensor = self.weights @ x @ self.weights.T
        return doubled


class UNet(nn.Module):
    """Images (b, channels, size, size) → images of any values, over levels of width, 2·, 4·, 8· and again 8·width.

    Without batch normalisation. ``size`` is at least 16, for each of the four poolings to have something to halve.
    """

    def __init__(self, channels: int, width: int, size: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        sides = [size >> level for level in range(5)]
        self.first = _convolutions(channels, width, width)
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), _convolutions(widths[level - 1], widths[level], widths[level]))
            for level in range(1, 5)
        )
        self.doublings = nn.ModuleList(Doubling(sides[level + 1], sides[level]) for level in (3, 2, 1, 0))
        self.up = nn.ModuleList(
            _convolutions(2 * widths[level], widths[level], widths[max(level - 1, 0)]) for level in (3, 2, 1, 0)
        )
        self.last = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.first(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for doubling, up in zip(self.doublings, self.up, strict=True):
            x = up(torch.cat([levels.pop(), doubling(x)], dim=1))
        image: Tensor = self.last(x)
        return image
