"""Methods on the features of patches: their maps of distances, smoothed, and the moments of features by position."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.functional import gaussian_blur

from bench.images import resized
from bench.method import Images, Maps, NotNegative
from bench.methods._backbone import FeatureMethod
from bench.training import scored, unchanged

PAPERS_SIZE = 224
"""Height and width of the images that the papers' smoothing is meant for."""


@dataclass(kw_only=True, eq=False)
class PatchMethod(FeatureMethod):
    """A method that says of each patch of an image how far its features are from normal ones.

    - ``layers``: whose features are put together at each position of the first; smaller maps are enlarged.
    - ``blur``: deviation of the Gaussian that smooths the map, in pixels of an image of 224×224.
    """

    layers: tuple[str, ...]
    blur: NotNegative = 4.0

    @abstractmethod
    def distances(self, maps: list[Tensor]) -> Tensor:
        """How far the patches (b, height, width) of features at each layer are from normal ones."""

    def layers_used(self) -> Sequence[str]:
        return self.layers

    def score_map(self, images: Images) -> Maps:
        """The distances of the patches, smoothed, (n, image_size, image_size)."""
        return self.of_features(images, lambda maps: self.smoothed(self.distances(maps)))

    def of_features(self, images: Images, compute: Callable[[list[Tensor]], Tensor]) -> NDArray[np.float32]:
        """What is computed (b, …) from a batch's features, for all images (n, …)."""
        return scored(
            lambda pixels: compute(self.features(pixels)),
            resized(images, self.image_size),
            device=self.device,
            prepare=unchanged,
            batch_size=self.at_once,
        )

    def smoothed(self, distances: Tensor) -> Tensor:
        """Distances (b, height, width) at the size of the images, (b, image_size, image_size)."""
        large = interpolate(distances[:, None], (self.image_size, self.image_size), mode="bilinear")
        deviation = self.blur * self.image_size / PAPERS_SIZE
        # what the Gaussian has beyond four deviations is nothing, and a border is mirrored once
        reach = min(int(4 * deviation + 0.5), self.image_size - 1)
        return (gaussian_blur(large, 2 * reach + 1, deviation) if reach else large)[:, 0]


class Moments:
    """The mean and covariance of features at each position, over batches that come one after the other.

    Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.
    """

    def __init__(self) -> None:
        self.mean = torch.zeros(0)
        """(positions, d)."""
        self._products = torch.zeros(0)
        self._count = 0

    def add(self, features: Tensor) -> None:
        """Features (positions, b, d)."""
        count, mean = features.shape[1], features.mean(dim=1)
        centred = features - mean[:, None]
        products = centred.mT @ centred
        if self._count:
            apart = mean - self.mean
            total = self._count + count
            products += self._products + apart[:, :, None] * apart[:, None] * (self._count * count / total)
            mean = self.mean + apart * (count / total)
        self.mean, self._products, self._count = mean, products, self._count + count

    @property
    def covariance(self) -> Tensor:
        """(positions, d, d), of at least two features; nothing varies among fewer."""
        return self._products / max(self._count - 1, 1)
