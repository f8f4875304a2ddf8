"""What GANomaly and Skip-GANomaly share: two networks against each other, their training and scoring, the losses."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from bench.method import FitContext, Whole
from bench.methods._dcgan import initialise
from bench.methods._image_network import ImageNetwork
from bench.training import seeded


class Judged(NamedTuple):
    """What a discriminator makes of images: how real each is, as a logit (b,), and its features."""

    logit: Tensor
    features: Tensor


class Discriminator(nn.Module):
    """A stack whose last layer judges and whose other layers give the features."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.features = layers[:-1]
        self.head = layers[-1]

    def forward(self, x: Tensor) -> Judged:
        features = self.features(x)
        return Judged(self.head(features).flatten(1).mean(dim=1), features)


def real_against_fake(real: Judged, fake: Judged) -> Tensor:
    """Binary cross-entropy of calling the real ones real, plus that of calling the fake ones fake."""
    loss = nn.functional.binary_cross_entropy_with_logits
    return loss(real.logit.float(), torch.ones_like(real.logit, dtype=torch.float32)) + loss(
        fake.logit.float(), torch.zeros_like(fake.logit, dtype=torch.float32)
    )


class FreshStart:
    """Gives a discriminator new weights when its loss says that it has won outright, without asking the host.

    The authors read the loss in every step. Here a new draw lies ready, another one every epoch, and is taken on the
    device. It is made on the host, for every device to have the same.
    """

    def __init__(self, discriminator: Discriminator, context: FitContext) -> None:
        self._discriminator = discriminator
        self._context = context
        self._fresh = copy.deepcopy(discriminator)
        self._drawn = copy.deepcopy(discriminator).to_empty(device="cpu")
        self.draw(0)

    @torch.no_grad()
    def draw(self, epoch: int) -> None:
        """Draw the weights that a collapse after this epoch would take."""
        with seeded(self._context, "fresh start", epoch):
            initialise(self._drawn)
        for fresh, drawn in zip(self._fresh.parameters(), self._drawn.parameters(), strict=True):
            fresh.copy_(drawn)

    @torch.no_grad()
    def take_where(self, collapsed: Tensor) -> None:
        """Take the new weights where the 0-d condition holds."""
        for fresh, weight in zip(self._fresh.parameters(), self._discriminator.parameters(), strict=True):
            weight.copy_(torch.where(collapsed, fresh, weight))


G = TypeVar("G", bound=nn.Module)


class Adversaries(nn.Module, Generic[G]):
    """Who is trained: a generator against a discriminator."""

    def __init__(self, generator: G, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator


@dataclass(kw_only=True, eq=False)
class AdversarialMethod(ImageNetwork[Adversaries[G]]):
    """A method that trains a generator against a discriminator."""

    epochs: Whole = 15
