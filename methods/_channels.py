"""Images scaled channel by channel, as the training images are."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.images import standardised
from bench.method import Images


def unit(batch: Tensor) -> Tensor:
    """uint8 images as floats in [0, 1]."""
    return standardised(batch, 0.0, 1.0)


class ChannelScaling:
    """Takes each channel's mean and deviation over the training images away from images in [0, 1]."""

    def __init__(self, training: Images, device: str) -> None:
        pixels = torch.from_numpy(training.reshape(-1, training.shape[3]) / 255.0)
        deviation, mean = torch.std_mean(pixels, dim=0, correction=0)
        self.mean = mean.float()[:, None, None].to(device)
        self.deviation = deviation.clamp(min=1 / 255).float()[:, None, None].to(device)

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation
