"""Classifying normal images and ones with confetti by their distance to a centre: what hsc and fcdd share.

The hypersphere classifier is of Ruff et al., Rethinking assumptions in deep anomaly detection, 2020, the confetti of
Liznerski et al., Explainable deep one-class classification, ICLR 2021; settings of the authors' code of both.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.images import resized
from bench.method import Count, Epoch, EpochMethod, FitContext, Images, NotNegative, Positive, Scores, Whole
from bench.methods._channels import ChannelScaling, unit
from bench.methods._confetti import strewn
from bench.methods._milestones import falling
from bench.methods._pooled_blocks import SidesInEighths
from bench.training import adam, autocast, minimise, scored, seeded, to_device, train

TINY = 1e-9
"""Added under the logarithm, as in the authors' code of the hypersphere classifier."""


def pseudo_huber(squared: Tensor) -> Tensor:
    """h(z) = √(‖z‖² + 1) − 1, from ‖z‖²."""
    return (squared + 1).sqrt() - 1


def hypersphere_loss(normal: Tensor, anomalous: Tensor) -> Tensor:
    """The mean over images, from their distances h: h of normal ones, −log(1 − exp(−h)) of anomalous ones."""
    return torch.cat([normal, -(TINY - torch.expm1(-anomalous)).log()]).mean()


def augmented(x: Tensor, *, mirrored: bool) -> Tensor:
    """Images (b, c, size, size), each moved by up to an eighth of its side, with black beyond, and mirrored or not."""
    b, _, size, _ = x.shape
    padding = size // 8
    places = torch.arange(size, device=x.device)
    rows, columns = (places + torch.randint(2 * padding + 1, (b, 1), device=x.device) for _ in range(2))
    if mirrored:
        columns = torch.where(torch.rand(b, 1, device=x.device) < 0.5, columns.flip(1), columns)
    wide = nn.functional.pad(x, [padding] * 4)
    each = torch.arange(b, device=x.device)[:, None, None]
    return wide[each, :, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


@dataclass(kw_only=True, eq=False)
class HypersphereClassifier(EpochMethod):
    """A method that scores by a distance that is small for normal images and large for the same ones with confetti.

    - ``epochs``, ``lr``, ``weight_decay``: of the training with Adam; the rate falls to a tenth after each of
      ``milestones``.
    - ``min_steps``: at least so many in all; where a class is small, an epoch goes over it several times.
    - ``batch_size``: normal images; as many with confetti come to them.
    - ``mirrored``: whether images are mirrored at random. They are moved in any case.
    - ``width``: channels of the first layer.
    - ``image_size``: images are resized to it.
    """

    epochs: Whole
    milestones: tuple[int, ...]
    min_steps: Whole = 0
    batch_size: Count
    lr: Positive = 1e-3
    weight_decay: NotNegative = 1e-6
    mirrored: bool = True
    width: Count = 32
    image_size: SidesInEighths = 32

    resumable = True

    @abstractmethod
    def build(self, channels: int) -> nn.Module:
        """The network for images (b, channels, image_size, image_size)."""

    @abstractmethod
    def distance(self, x: Tensor) -> Tensor:
        """How far the network puts standardised images (b, …) from its centre, (b,)."""

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        images = resized(images, self.image_size)
        self.scaling = ChannelScaling(images, context.device)
        with seeded(context):
            self.network = self.build(images.shape[3])
        to_device(self.network, context)
        optimiser = adam(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            shown = augmented(torch.cat([x, x]), mirrored=self.mirrored)
            normal, anomalous = shown[: len(x)], strewn(shown[len(x) :])
            with autocast(context):
                h = self.anomaly(torch.cat([normal, anomalous]))
            loss = hypersphere_loss(h[: len(x)], h[len(x) :])
            minimise(loss, optimiser)
            return {"hypersphere": loss}

        training = train(
            self.network,
            step,
            images,
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=self.min_steps,
            prepare=unit,
            capturable=True,
        )
        yield from falling(training, optimiser, self.milestones)

    def score(self, images: Images) -> Scores:
        return scored(self.anomaly, resized(images, self.image_size), device=self.device, prepare=unit)

    def anomaly(self, x: Tensor) -> Tensor:
        """Scores (b,) of images in [0, 1]: the distance, which the authors' 1 − exp(−h) grows with."""
        return self.distance(self.scaling(x))
