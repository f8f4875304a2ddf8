"""Puzzle-AE: a U-Net that puts shuffled and attacked images together again, scored by what it gets wrong.

Salehi, Eftekhar, Sadjadi, Rohban and Rabiee, Puzzle-AE: novelty detection in images through solving puzzles, 2020;
settings of the authors' code.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, MultipleOf
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from bench.checkpoints import remember
from bench.images import resized, standardised
from bench.method import (
    BelowOne,
    Count,
    Epoch,
    EpochMethod,
    FitContext,
    Images,
    NotNegative,
    Positive,
    Scores,
    Share,
    Whole,
    method,
)
from bench.methods._adversarial import Discriminator, real_against_fake
from bench.methods._dcgan import ToVector, initialise
from bench.methods._unet import UNet
from bench.methods._validation import held_out
from bench.training import Step, adam, autocast, minimise, scored, seeded, to_device, train

PERMUTATIONS = tuple(itertools.permutations(range(4)))[1:]
"""The 23 orders of four tiles that are not their own."""


in_unit_range = functools.partial(standardised, mean=0.0, deviation=1.0)
"""uint8 images as floats in [0, 1]."""


def tiles(x: Tensor) -> Tensor:
    """Images (b, channels, 2s, 2s) → their quarters (b, 4, channels, s, s), row by row."""
    return x.unflatten(3, (2, -1)).unflatten(2, (2, -1)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def joined(quarters: Tensor) -> Tensor:
    """Quarters (b, 4, channels, s, s) → the images (b, channels, 2s, 2s) that they make."""
    return quarters.unflatten(1, (2, 2)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def shuffled(x: Tensor, order: Tensor) -> Tensor:
    """Images with tile order[i, k] of image i in place k; order (b, 4), or (4,) for all images."""
    return joined(tiles(x).take_along_dim(order.expand(len(x), 4)[:, :, None, None, None], dim=1))


def without_tile(x: Tensor, place: Tensor) -> Tensor:
    """Images whose tile at a place, (b,), has lost its colours or, where there are none, is black."""
    quarters = tiles(x)
    bare = quarters.mean(dim=2, keepdim=True) if x.shape[1] == 3 else torch.zeros_like(quarters)
    here = torch.arange(4, device=x.device) == place[:, None]
    return joined(torch.where(here[:, :, None, None, None], bare, quarters))


def _judge(channels: int, width: int, size: int) -> nn.Sequential:
    """GANomaly's discriminator: (b, channels, size, size) → (b, 1, 1, 1), halved until at most 4 pixels are left."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    side = size // 2
    while side > 4:
        layers += [
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width, side = 2 * width, side // 2
    return nn.Sequential(*layers, ToVector(width, 1, side))


@method(version="1", gpu_memory=2.0)
class PuzzleAE(EpochMethod):
    """Anomaly score: the U-Net's squared error for each of the 23 shuffled images, over that order's mean error for
    normal images that training did not see; then the mean over the orders.

    - ``score_by``: ``mean``, ``min`` or ``max`` over the orders; the authors' code prints the AUROC by all three.
    - ``validation``: share of the training images that only these mean errors are taken from.
    - ``eps``: how far the attack moves a pixel in [0, 1]; ``w_adv``: weight of the feature-matching loss.
    - ``epochs``, ``min_steps``, ``batch_size``: of the training; ``lr``, ``weight_decay``: of the U-Net's Adam;
      ``lr_discriminator``, ``beta1``: of the discriminator's.
    - ``patience``, ``decay``: after so many epochs without a lower squared error the U-Net's rate is multiplied so.
    - ``width``: of both networks; ``image_size``: a multiple of 4, for tiles of even sides.
    """

    score_by: Literal["mean", "min", "max"] = "mean"
    validation: Share = 0.15
    eps: NotNegative = 0.1
    w_adv: NotNegative = 0.02
    epochs: Whole = 600
    min_steps: Whole = 0
    batch_size: Count = 64
    lr: Positive = 1e-3
    weight_decay: NotNegative = 1e-5
    lr_discriminator: Positive = 2e-4
    beta1: BelowOne = 0.5
    patience: Whole = 50
    decay: Share = 0.8
    width: Count = 64
    image_size: Annotated[int, Ge(16), MultipleOf(4)] = 32

    resumable = True

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        channels = images.shape[3]
        with seeded(context):
            # the U-Net keeps torch's own initial weights: DCGAN's are too small where nothing normalises
            self.unet = UNet(channels, self.width, self.image_size)
            self.discriminator = Discriminator(_judge(channels, self.width, self.image_size))
            initialise(self.discriminator)
        networks = nn.ModuleList([self.unet, self.discriminator])
        to_device(networks, context)
        seen, unseen = held_out(resized(images, self.image_size), self.validation, context)
        self.unseen = unseen if len(unseen) else seen  # of one image nothing can be set apart
        self.errors: NDArray[Any] | None = None
        optimiser = adam(self.unet.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        plateau = remember(ReduceLROnPlateau(optimiser, factor=self.decay, patience=self.patience))
        for epoch in train(
            networks,
            self._step(optimiser, context),
            seen,
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=self.min_steps,
            prepare=in_unit_range,
            capturable=True,
        ):
            plateau.step(epoch.losses["reconstruction"])
            self.errors = None
            yield epoch
        self._normal_errors()
        del self.unseen

    def score(self, images: Images) -> Scores:
        relative = self._scored(self._errors, images) / self._normal_errors()
        return np.asarray(getattr(relative, self.score_by)(axis=1))

    def reconstruct(self, images: Images) -> Images:
        """The mean of what the U-Net makes of the 23 shuffled images."""
        made = self._scored(lambda x: torch.stack(list(self._solutions(x))).mean(dim=0), images)
        return (255 * made).round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)

    def _scored(self, compute: Any, images: Images) -> NDArray[np.float32]:
        return scored(compute, resized(images, self.image_size), device=self.device, prepare=in_unit_range)

    def _solutions(self, x: Tensor) -> Iterator[Tensor]:
        """What the U-Net makes of the images in each of the 23 orders."""
        for order in torch.tensor(PERMUTATIONS, device=x.device):
            yield self.unet(shuffled(x, order))

    def _errors(self, x: Tensor) -> Tensor:
        """Mean squared error of each image in each order, (b, 23)."""
        return torch.stack([(made - x).square().flatten(1).mean(dim=1) for made in self._solutions(x)], dim=1)

    def _normal_errors(self) -> NDArray[Any]:
        """The mean errors (23,) of the images set apart; taken when they are asked for, since that takes its time."""
        if self.errors is None:
            self.errors = np.maximum(self._scored(self._errors, self.unseen).mean(axis=0), 1e-12)
        return self.errors

    def _step(self, optimiser_u: torch.optim.Optimizer, context: FitContext) -> Step:
        unet, discriminator = self.unet, self.discriminator
        optimiser_d = adam(discriminator.parameters(), lr=self.lr_discriminator, betas=(self.beta1, 0.999))
        orders = torch.tensor(PERMUTATIONS, device=context.device)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            order = orders[torch.randint(len(orders), (len(x),), device=x.device)]
            puzzle = without_tile(shuffled(x, order), torch.randint(4, (len(x),), device=x.device))
            with autocast(context):
                made = unet(self.attacked(puzzle, x))
                real, fake = discriminator(x), discriminator(made)
            reconstruction = (made.float() - x).square().mean()
            matching = (real.features - fake.features).float().square().mean()
            minimise(reconstruction + self.w_adv * matching, optimiser_u, graph_stays=True)
            loss_d = 0.5 * real_against_fake(real, fake)
            minimise(loss_d, optimiser_d)
            return {"reconstruction": reconstruction, "matching": matching, "discriminator": loss_d}

        return step

    def attacked(self, puzzle: Tensor, x: Tensor) -> Tensor:
        """The puzzle, each pixel moved by ``eps`` to where its solution is farther from x: FGSM from a random start."""
        start = (puzzle + self.eps * (2 * torch.rand_like(puzzle) - 1)).clamp(0, 1).requires_grad_()
        (slope,) = torch.autograd.grad((self.unet(start).float() - x).square().mean(), start)
        return (puzzle + self.eps * slope.sign()).clamp(0, 1)
