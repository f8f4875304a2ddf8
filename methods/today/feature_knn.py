"""Deep nearest neighbours (DN2): the distance to the nearest normal images in the features of a frozen network.

Bergman, Cohen and Hoshen, Deep nearest neighbor anomaly detection, 2020; PANDA's code, before it adapts anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.images import resized
from bench.method import Count, FitContext, Images, Scores, method
from bench.methods._backbone import FeatureMethod
from bench.training import scored, unchanged
from bench.weights import USED


@method(version="1", gpu_memory=1.0, published_used=(USED,))
class FeatureKNN(FeatureMethod):
    """Anomaly score: the mean squared distance of an image's features to those of its nearest training images.

    - ``layer``: whose features, averaged over the positions; the last ones before the classifier.
    - ``neighbours``: how many, or all of fewer training images.
    - The other parameters are of the backbone.
    """

    layer: str = "avgpool"
    neighbours: Count = 2

    def layers_used(self) -> Sequence[str]:
        return (self.layer,)

    def remember(self, images: Images, context: FitContext) -> None:
        self.normal = torch.cat([_pooled(maps) for maps in self.each(images)])

    def score(self, images: Images) -> Scores:
        return scored(
            lambda pixels: self.distance(_pooled(self.features(pixels))),
            resized(images, self.image_size),
            device=self.device,
            prepare=unchanged,
            batch_size=self.at_once,
        )

    def distance(self, features: Tensor) -> Tensor:
        """Mean squared distance (b,) of features (b, d) to the nearest of the normal ones."""
        squared = torch.cdist(features, self.normal).square()
        return squared.topk(min(self.neighbours, len(self.normal)), largest=False).values.mean(dim=1)


def _pooled(maps: list[Tensor]) -> Tensor:
    """One layer's features (b, d), averaged over the positions where it has them."""
    (features,) = maps
    return features if features.dim() == 2 else features.flatten(2).mean(dim=2)
