"""Images that stand in for anomalies, made of normal ones: confetti strewn over them.

Liznerski et al., Explainable deep one-class classification, ICLR 2021, and the authors' code, whose numbers are for
images of 240×240; here they are shares of an image's side.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

PAPERS_SIZE = 240
"""Height and width of the authors' images."""
SIDES = (8 / PAPERS_SIZE, 54 / PAPERS_SIZE)
"""Of the smallest and the largest piece."""
LEAST_SIDES = (1.0, 2.0)
"""The same in pixels, for images too small to show less."""
COLOURED, WHITE = 1.8e-5 * PAPERS_SIZE**2, 1.2e-5 * PAPERS_SIZE**2
"""Pieces of either kind that fall on an image, where at least one does: the mean of a Poisson distribution."""
MOST = 5
"""Pieces of a kind; more come once in a thousand images."""
TURNED = math.pi / 4
"""A piece lies turned by up to so much, either way."""
BLUR, REACH = 5 / PAPERS_SIZE, 12 / PAPERS_SIZE
"""Deviation of the Gaussian that smooths all pieces, and how far it goes."""
UNSEEN = 0.025 / 255
"""Mean change of an image's numbers by which its confetti are as good as not there."""


def strewn(x: Tensor) -> Tensor:
    """Images (b, channels, size, size) in [0, 1] with confetti added to each; taken away where adding shows nothing."""
    confetti = smoothed(pieces(x, COLOURED, coloured=True) + pieces(x, WHITE, coloured=False))
    brighter, darker = (x + confetti).clamp(0, 1), (x - confetti).clamp(0, 1)
    added, taken = ((each - x).abs().mean(dim=(1, 2, 3), keepdim=True) for each in (brighter, darker))
    return torch.where((added < UNSEEN) & (taken > added), darker, brighter)


def pieces(x: Tensor, mean: float, *, coloured: bool) -> Tensor:
    """Turned squares on black, each of a colour that is drawn or white, for each image (b, channels, size, size).

    There is at least one, and as many as a Poisson distribution gives. A later one covers an earlier one.
    """
    b, channels, size, _ = x.shape
    drawn = torch.rand(b, 1, 1, 1, device=x.device)
    there = torch.cat([drawn < more for more in _more_than(mean)], dim=1)
    least, most = (max(share * size, pixels) for share, pixels in zip(SIDES, LEAST_SIDES, strict=True))
    half = (least + (most - least) * torch.rand(b, MOST, 1, 1, device=x.device)) / 2
    down, right = size * torch.rand(2, b, MOST, 1, 1, device=x.device)
    angle = TURNED * (2 * torch.rand(b, MOST, 1, 1, device=x.device) - 1)
    middles = torch.arange(size, device=x.device) + 0.5
    below, beside = middles[:, None] - down, middles - right
    along, across = angle.cos() * beside + angle.sin() * below, angle.cos() * below - angle.sin() * beside
    cover = there * (half + 0.5 - along.abs()).clamp(0, 1) * (half + 0.5 - across.abs()).clamp(0, 1)
    cover = cover[:, :, None]  # (b, MOST, 1, size, size)
    colours = torch.rand(b, MOST, channels, 1, 1, device=x.device) if coloured else torch.ones_like(cover)
    made = torch.zeros_like(x)
    for piece in range(MOST):
        made = torch.lerp(made, colours[:, piece], cover[:, piece].expand_as(made))
    return made


def smoothed(x: Tensor) -> Tensor:
    """Images after a Gaussian of BLUR's width, but for images too small to show it."""
    size = x.shape[-1]
    reach = min(round(REACH * size), size - 1)
    return gaussian_blur(x, 2 * reach + 1, BLUR * size) if reach else x


def _more_than(mean: float) -> list[float]:
    """The probabilities that there are more than 0, 1, … pieces, of at least one."""
    none = math.exp(-mean)
    exactly = [none * mean**k / math.factorial(k) for k in range(MOST)]
    return [(1 - math.fsum(exactly[: k + 1])) / (1 - none) for k in range(MOST)]
