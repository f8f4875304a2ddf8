"""Random changes of images that leave what they show, a batch at once: crops, brightness, contrast, colours, mirroring.

Chen et al., A simple framework for contrastive learning of visual representations (SimCLR), ICML 2020, section 3.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
"""From red, green and blue to brightness and two numbers for the colour, whose angle is its hue."""


class Changes(NamedTuple):
    """How each of n images is changed; one row changes all images alike."""

    crop: Tensor
    """(n, 2, 3): from places in the changed image to those in the image, both in [−1, 1]."""
    brightness: Tensor
    """(n, 1, 1, 1), a factor."""
    contrast: Tensor
    """(n, 1, 1, 1), a factor."""
    colour: Tensor
    """(n, 3, 3), which makes red, green and blue of the same."""


class Augmentation:
    """Changes images in [−1, 1] on one device, each by its own draws of torch's generator there.

    - ``area``: the share of the image that its crop has, from … to; the crop is brought to the image's size.
    - ``ratio``: a crop is at most so many times as wide as it is high, and as high as it is wide.
    - ``strength``: brightness, contrast and saturation are multiplied by 1 − strength … 1 + strength.
    - ``hue``: colours are turned by at most so many turns: in YIQ, where that is one matrix for an image.
    - ``jittered``: share of the images that any of these two is done to.
    - ``greyed``: share of the images that lose their colour.
    """

    def __init__(
        self,
        device: str,
        *,
        area: tuple[float, float],
        ratio: float = 1.0,
        strength: float = 0.4,
        hue: float,
        jittered: float = 1.0,
        greyed: float = 0.2,
    ) -> None:
        self.device = device
        self.area = area
        self.ratio = ratio
        self.strength = strength
        self.hue = hue
        self.jittered = jittered
        self.greyed = greyed
        to_yiq = torch.tensor(YIQ)
        self._to_yiq, self._from_yiq = to_yiq.to(device), torch.linalg.inv(to_yiq).to(device)

    def __call__(self, x: Tensor) -> Tensor:
        """The images (b, …), each changed in its own way."""
        return changed(x, self.draw(len(x)))

    def draw(self, count: int) -> Changes:
        """How to change so many images."""
        jittered = torch.rand(count, device=self.device) < self.jittered
        brightness, contrast, saturation = (
            torch.where(jittered, self._between(count, 1 - self.strength, 1 + self.strength), 1.0) for _ in range(3)
        )
        angle = torch.where(jittered, self._between(count, -self.hue, self.hue), 0.0) * (2 * math.pi)
        saturation = torch.where(torch.rand(count, device=self.device) < self.greyed, 0.0, saturation)
        return Changes(
            self._crop(count),
            brightness[:, None, None, None],
            contrast[:, None, None, None],
            self._colour(saturation * angle.cos(), saturation * angle.sin()),
        )

    def none(self) -> Changes:
        """How to leave all images as they are."""
        one, zero = torch.ones(1, device=self.device), torch.zeros(1, device=self.device)
        factor = one[:, None, None, None]
        return Changes(_affine(one, one, zero, zero), factor, factor, self._colour(one, zero))

    def _between(self, count: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=self.device)

    def _crop(self, count: int) -> Tensor:
        area = self._between(count, *self.area)
        ratio = self._between(count, -math.log(self.ratio), math.log(self.ratio)).exp()
        width, height = ((area * each).sqrt().clamp(max=1) for each in (ratio, 1 / ratio))
        right, down = (self._between(count, -1, 1) * (1 - side) for side in (width, height))
        return _affine(width, height, right, down)

    def _colour(self, along: Tensor, across: Tensor) -> Tensor:
        """Of turns and lengths of the plane of colours, given by where its first axis comes to."""
        one, zero = torch.ones_like(along), torch.zeros_like(along)
        turned = torch.stack([one, zero, zero, zero, along, -across, zero, across, along], dim=1)
        return self._from_yiq @ turned.view(-1, 3, 3) @ self._to_yiq


def changed(x: Tensor, changes: Changes) -> Tensor:
    """Images (b, channels, height, width) in [−1, 1] after changes; what would be beyond black or white is that.

    Grey images have no colours to change.
    """
    places = nn.functional.affine_grid(changes.crop.expand(len(x), -1, -1), list(x.shape), align_corners=False)
    made = nn.functional.grid_sample(x, places, padding_mode="border", align_corners=False)
    made = (made + 1) / 2 * changes.brightness
    mean = made.mean(dim=(1, 2, 3), keepdim=True)
    made = mean + (made - mean) * changes.contrast
    if x.shape[1] == 3:
        made = torch.einsum("bij,bjhw->bihw", changes.colour.expand(len(x), -1, -1), made)
    return made.clamp(0, 1) * 2 - 1


def mirrored(x: Tensor) -> Tensor:
    """Images (b, …), each mirrored left to right or not."""
    return torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)


def _affine(width: Tensor, height: Tensor, right: Tensor, down: Tensor) -> Tensor:
    zero = torch.zeros_like(width)
    return torch.stack([width, zero, right, zero, height, down], dim=1).view(-1, 2, 3)
