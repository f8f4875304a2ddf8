"""One class is abnormal, all others are normal: how GANomaly, Skip-GANomaly, EGBAD and AnoGAN measured themselves.

Akcay et al., GANomaly, ACCV 2018, and Skip-GANomaly, IJCNN 2019; Zenati et al., Efficient GAN-based anomaly detection,
2018. The two ways to split are those of the code of GANomaly and Skip-GANomaly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from bench.dataset import PreparedDataset
from bench.protocol import Indices, Mask, Protocol, protocol

NOT = "not "
"""Before the abnormal class, in the name of the normal ones."""


@protocol(version=1, seeded=True)
class RestVsOne(Protocol):
    """Test: normal images that did not train, and *all* images of the abnormal class, official training images too.

    - ``images``: ``merged``, as GANomaly's code for MNIST: of all normal images, official split or not, 80 % train and
      20 % test, drawn by the seed. ``official``, as Skip-GANomaly's code: normal images train or test as the dataset
      says; the seed changes nothing.
    """

    images: Literal["merged", "official"] = "merged"

    @property
    def seeded(self) -> bool:
        return self.images == "merged"

    def require(self, dataset: PreparedDataset) -> None:
        if self.images == "official":
            self.official_test(dataset)

    def normal_sets(self, dataset: PreparedDataset) -> Mapping[str, frozenset[int]]:
        every = frozenset(np.unique(dataset.labels).tolist())
        return {f"{NOT}{name}": every - {label} for label, name in enumerate(dataset.classes) if label in every}

    def called(self, dataset: PreparedDataset, name: str) -> str:
        return f"{NOT}{name}"

    def divide(self, dataset: PreparedDataset, normal: Mask, generator: np.random.Generator) -> tuple[Indices, Indices]:
        if self.images == "official":
            test = self.official_test(dataset) | ~normal
            return np.flatnonzero(~test), np.flatnonzero(test)
        own = generator.permutation(np.flatnonzero(normal))
        cut = round(0.8 * len(own))
        return np.sort(own[:cut]), np.sort(np.concatenate([own[cut:], np.flatnonzero(~normal)]))
