"""FCDD: the hypersphere classifier with convolutions alone, whose outputs are a map of how anomalous each place is.

Liznerski et al., Explainable deep one-class classification, ICLR 2021, and the authors' code; with their confetti also
where they take outlier images from elsewhere, which is for data sets of one class against the rest.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench.images import resized
from bench.method import Count, Images, Maps, NotNegative, Whole, method
from bench.methods._channels import unit
from bench.methods._hypersphere import HypersphereClassifier, pseudo_huber
from bench.methods._pooled_blocks import pooled_blocks
from bench.training import scored

STRIDE, FIELD, FIRST = 4, 18, 1.5
"""Of the network: pixels between the middles of two neighbouring outputs' receptive fields, the side of such a field,
and where the first one's middle lies, counted from the middle of the first pixel."""

OUTLIERS = "outlier exposure: CIFAR-100 for CIFAR-10 and Fashion-MNIST"


@method(version="1", gpu_memory=1.0, published_used=(OUTLIERS,))
class FCDD(HypersphereClassifier):
    """Anomaly score: the mean of the map A(x) = √(φ(x)² + 1) − 1, an output of the network at each of its places.

    - ``batch_size``: the authors replace every second of 200 images.
    - ``blur``: deviation of the Gaussian by which the map is enlarged, in pixels; 0: log₁₀(0.45 r + 1) + 0.25 for
      receptive fields of side r, as the authors have it.
    - The other parameters are those that hsc and fcdd share; with width 32 the network is the authors' for CIFAR-10.
    """

    epochs: Whole = 600
    milestones: tuple[int, ...] = (400, 500)
    batch_size: Count = 100
    blur: NotNegative = 0.0

    def build(self, channels: int) -> nn.Module:
        return nn.Sequential(
            *pooled_blocks(channels, (self.width, 2 * self.width), kernel=3, bias=True),
            nn.Conv2d(2 * self.width, 4 * self.width, 3, padding=1),
            nn.Conv2d(4 * self.width, 1, 1),
        )

    def distance(self, x: Tensor) -> Tensor:
        """‖A(x)‖₁ over the number of places."""
        return self.places(x).mean(dim=(1, 2))

    def places(self, x: Tensor) -> Tensor:
        """A(x) of standardised images, (b, image_size / 4, image_size / 4)."""
        return pseudo_huber(self.network(x)[:, 0].float().square())

    def score_map(self, images: Images) -> Maps:
        """The map at the size of the images, (n, image_size, image_size): Algorithm 1 of the paper."""
        deviation = self.blur or math.log10(0.45 * FIELD + 1) + 0.25
        spread = gaussians(self.image_size, deviation).to(self.device)
        return scored(
            lambda x: spread @ self.places(self.scaling(x)) @ spread.T,
            resized(images, self.image_size),
            device=self.device,
            prepare=unit,
        )


def gaussians(size: int, deviation: float) -> Tensor:
    """What each place gives to each pixel along one axis, (size, size / 4).

    A Gaussian around the middle of its receptive field, 1 there and 0 beyond the field. Along both axes this is the
    strided transposed convolution of the paper.
    """
    pixels, middles = torch.arange(size)[:, None], FIRST + STRIDE * torch.arange(size // STRIDE)
    away = (pixels - middles).abs()
    return torch.where(away <= FIELD / 2, (-0.5 * (away / deviation) ** 2).exp(), 0.0)
