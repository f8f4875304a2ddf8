"""PatchCore: a memory of patch features that covers those of normal images, and the distance to the nearest of them.

Roth et al., Towards total recall in industrial anomaly detection, CVPR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from bench.method import Count, FitContext, Images, Part, Scores, Whole, method
from bench.methods._patches import PatchMethod
from bench.weights import USED


@method(version="1", gpu_memory=8.0, published_used=(USED,))
class PatchCore(PatchMethod):
    """Anomaly score: the distance of the farthest patch to the memory, weighed by how lonely its neighbour is there.

    - ``layers``: whose features, averaged over neighbourhoods of 3×3, are put together at each position of the first;
      smaller maps are enlarged.
    - ``coreset``: share of the training images' patches that the memory keeps, at least one.
    - ``projected``: numbers that features are projected to at random while these are chosen; 0: none are.
    - ``neighbours``: b of eq. 7; 1 does without the weight.
    - ``blur``: deviation of the Gaussian that smooths the map, in pixels of an image of 224×224.
    - The other parameters are of the backbone.
    """

    layers: tuple[str, ...] = ("layer2", "layer3")
    coreset: Part = 0.1
    projected: Whole = 128
    neighbours: Count = 9

    def remember(self, images: Images, context: FitContext) -> None:
        patches = torch.cat([self.embedded(maps).flatten(0, 2) for maps in self.each(images)])
        draw = torch.Generator().manual_seed(context.seed)
        apart = patches
        if 0 < self.projected < patches.shape[1]:
            directions = torch.randn(patches.shape[1], self.projected, generator=draw) / self.projected**0.5
            apart = patches @ directions.to(self.device)
        first = torch.randint(len(patches), (1,), generator=draw).to(self.device)
        self.memory = patches[centres(apart, max(1, int(self.coreset * len(patches))), first)]

    def embedded(self, maps: list[Tensor]) -> Tensor:
        """All layers' features of 3×3 patches, (b, height, width, d) of the first layer (eqs. 2, 3)."""
        size = maps[0].shape[2:]
        averaged = [avg_pool2d(each, 3, stride=1, padding=1) for each in maps]
        return torch.cat([interpolate(each, size, mode="bilinear") for each in averaged], dim=1).permute(0, 2, 3, 1)

    def distances(self, maps: list[Tensor]) -> Tensor:
        """Of each patch to the nearest of the memory."""
        return self._nearest(self.embedded(maps))[0]

    def score(self, images: Images) -> Scores:
        return self.of_features(images, self._anomaly)

    def _anomaly(self, maps: list[Tensor]) -> Tensor:
        """Eqs. 6 and 7."""
        features = self.embedded(maps)
        distances, places = (each.flatten(1) for each in self._nearest(features))
        farthest, at = distances.max(dim=1, keepdim=True)  # s*
        if self.neighbours == 1:
            return farthest[:, 0]
        patch = features.flatten(1, 2).gather(1, at[:, :, None].expand(-1, -1, features.shape[3]))  # m^test,*
        neighbour = self.memory[places.gather(1, at)[:, 0]]  # m*
        count = min(self.neighbours, len(self.memory))
        around = torch.cdist(neighbour, self.memory).topk(count, largest=False).indices  # of m* itself first
        weights = torch.cdist(patch, self.memory[around])[:, 0].softmax(dim=1)
        return (1 - weights[:, 0]) * farthest[:, 0]

    def _nearest(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The distance (b, height, width) of each patch to its nearest of the memory, and which one that is."""
        nearest = [torch.cdist(part, self.memory).min(dim=1) for part in features.flatten(0, 2).split(AT_ONCE)]
        shape = features.shape[:3]
        return torch.cat([n.values for n in nearest]).view(shape), torch.cat([n.indices for n in nearest]).view(shape)


AT_ONCE = 4096
"""Patches that are compared with all of the memory at a time."""


def centres(points: Tensor, count: int, first: Tensor) -> Tensor:
    """Which points (n, d) to keep, (count,): the first (1,), and each time the one that is farthest from all before.

    Greedy k-centre: no choice of as many points has a point less than half as far from its nearest kept one.
    """
    squares = points.square().sum(dim=1)
    farness = torch.full_like(squares, torch.inf)
    chosen = [first]
    for _ in range(count - 1):
        latest = chosen[-1]
        to_latest = squares + squares[latest] - 2 * (points @ points[latest][0])
        farness = torch.minimum(farness, to_latest)
        farness.index_fill_(0, latest, -torch.inf)
        chosen.append(farness.argmax(dim=0, keepdim=True))
    return torch.cat(chosen)
