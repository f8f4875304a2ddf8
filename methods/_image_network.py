"""What the methods share that train networks on batches of images: making them, training them, scoring by them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.images import resized, symmetric
from bench.method import Epoch, EpochMethod, FitContext, Images, Scores
from bench.methods._dcgan import initialise
from bench.training import SCORED_AT_ONCE, Step, adam, scored, seeded, to_device, train

Networks = TypeVar("Networks", bound=nn.Module)


@dataclass(kw_only=True, eq=False)
class ImageNetwork(EpochMethod, Generic[Networks]):
    """A method whose ``networks`` see images of ``image_size``, and begin with DCGAN's initial weights.

    - ``epochs``, ``batch_size``, ``lr``, ``beta1``: of the training with Adam (β2 = 0.999).
    - ``width``, ``latent``: of the networks.
    """

    epochs: int
    batch_size: int = 64
    lr: float = 2e-4
    beta1: float = 0.5
    width: int = 64
    latent: int = 100

    image_size = 32  # no hyperparameter, unless a subclass annotates it

    @abstractmethod
    def build(self, channels: int) -> Networks:
        """All that is trained, for images of so many channels."""

    @abstractmethod
    def step(self, context: FitContext) -> Step:
        """The training step of the networks that were built."""

    @abstractmethod
    def anomaly(self, x: Tensor) -> Tensor:
        """Scores (b,) of a prepared batch (b, channels, image_size, image_size)."""

    @abstractmethod
    def reconstruction(self, x: Tensor) -> Tensor:
        """What the networks make of a prepared batch: another one like it."""

    def prepare(self, batch: Tensor) -> Tensor:
        """A batch of uint8 as the networks take it, on a scale of their own."""
        return symmetric(batch)

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        with seeded(context):
            self.networks: Networks = self.build(images.shape[3])
            initialise(self.networks)
        to_device(self.networks, context)
        yield from train(
            self.networks,
            self.step(context),
            resized(images, self.image_size),
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            prepare=self.prepare,
        )

    def score(self, images: Images) -> Scores:
        return self.scored(images)

    def scored(self, images: Images, batch_size: int = SCORED_AT_ONCE) -> Scores:
        """``anomaly`` of every image."""
        return scored(
            self.anomaly,
            resized(images, self.image_size),
            device=self.device,
            prepare=self.prepare,
            batch_size=batch_size,
        )

    def reconstruct(self, images: Images) -> Images:
        """``reconstruction`` of every image, as pixels; what lies beyond black and white is black and white."""
        black, white = self.prepare(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
        # an image's number may be a tensor
        made = scored(self.reconstruction, resized(images, self.image_size), device=self.device, prepare=self.prepare)
        pixels = 255 * (made - black) / (white - black)
        return pixels.round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)

    def adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        return adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))
