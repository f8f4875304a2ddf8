"""PaDiM: at each position of the image, a Gaussian of the patch features that normal images have there.

Defard et al., PaDiM: a patch distribution modeling framework for anomaly detection and localization, ICPR 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bench.method import Count, FitContext, Images, Positive, Scores, method
from bench.methods._patches import Moments, PatchMethod
from bench.weights import USED


@method(version="1", gpu_memory=4.0, published_used=(USED,))
class PaDiM(PatchMethod):
    """Anomaly score: the largest Mahalanobis distance of any position, after the map was smoothed.

    - ``layers``: whose features are put together at each position of the first; smaller maps are enlarged.
    - ``dimensions``: how many of their channels are kept; the seed draws which.
    - ``ridge``: ε, which is added to the diagonal of each covariance (eq. 1).
    - ``blur``: deviation of the Gaussian that smooths the map, in pixels of an image of 224×224.
    - The other parameters are of the backbone.
    """

    layers: tuple[str, ...] = ("layer1", "layer2", "layer3")
    dimensions: Count = 100
    ridge: Positive = 0.01

    def remember(self, images: Images, context: FitContext) -> None:
        moments = Moments()
        for number, maps in enumerate(self.each(images)):
            if not number:
                drawn = torch.randperm(sum(each.shape[1] for each in maps), generator=_generator(context))
                self.channels = drawn[: self.dimensions].to(self.device)
            moments.add(_by_position(self.embedded(maps)))
        ridge = self.ridge * torch.eye(len(self.channels), device=self.device)
        self.mean, self.precision = moments.mean, torch.linalg.inv(moments.covariance + ridge)

    def embedded(self, maps: list[Tensor]) -> Tensor:
        """The channels that are kept of all layers' features, (b, d, height, width) of the first layer."""
        size = maps[0].shape[2:]
        return torch.cat([interpolate(each, size) for each in maps], dim=1)[:, self.channels]

    def distances(self, maps: list[Tensor]) -> Tensor:
        """Mahalanobis distance of the features at each position to its Gaussian (eq. 2)."""
        features = self.embedded(maps)
        apart = _by_position(features) - self.mean[:, None]
        squared = (apart @ self.precision * apart).sum(dim=2)
        return squared.clamp(min=0).sqrt().T.reshape(len(features), *features.shape[2:])

    def score(self, images: Images) -> Scores:
        return self.of_features(images, lambda maps: self.smoothed(self.distances(maps)).flatten(1).amax(dim=1))


def _generator(context: FitContext) -> torch.Generator:
    return torch.Generator().manual_seed(context.seed)


def _by_position(features: Tensor) -> Tensor:
    """(b, d, height, width) → (height · width, b, d)."""
    return features.flatten(2).permute(2, 0, 1)
