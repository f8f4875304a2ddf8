"""The masked convolution of PixelCNN: no output sees a later pixel, nor of its own pixel a later colour."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class MaskedConvolution(nn.Conv2d):
    """(b, inputs, height, width) → (b, outputs, height, width), each output from what comes before it in raster order.

    Pixels come row by row, and in a pixel its ``colours`` in turn. The inputs belong to the colours in contiguous
    groups, as even as can be, and so do the outputs. At its own pixel an output of kind ``A`` sees the inputs of
    earlier colours, one of kind ``B`` those of its own colour as well: A is for images, B for what came out of an A.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu 2016. Of the size × size kernel only the rows down to its middle
    are kept, because the mask clears the others.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, *, kind: Literal["A", "B"], colours: int) -> None:
        middle = size // 2
        super().__init__(inputs, outputs, (middle + 1, size))
        mask = torch.ones_like(self.weight, requires_grad=False)
        mask[:, :, middle, middle + 1 :] = 0
        of_output, of_input = _colour(outputs, colours)[:, None], _colour(inputs, colours)[None]
        mask[:, :, middle, middle] = (of_input < of_output if kind == "A" else of_input <= of_output).float()
        self.register_buffer("mask", mask)
        self._margins = (middle, middle, middle, 0)  # left, right, above, below

    def forward(self, x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, self._margins) if any(self._margins) else x
        return nn.functional.conv2d(padded, self.weight * self.mask, self.bias)


def _colour(channels: int, colours: int) -> Tensor:
    """Which colour each channel belongs to, (channels,)."""
    return torch.arange(channels) * colours // channels
