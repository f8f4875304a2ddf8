"""What the methods share that train networks on batches of images: making them, training them, scoring by them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.batchnorm import PassStatistics
from bench.images import resized, symmetric
from bench.method import BelowOne, Count, Epoch, EpochMethod, FitContext, Images, Positive, Scores, Whole
from bench.methods._dcgan import initialise
from bench.methods._validation import BestEpoch, held_out
from bench.training import SCORED_AT_ONCE, Step, adam, batches, scored, seeded, to_device, train

Networks = TypeVar("Networks", bound=nn.Module)

BATCH_STATISTICS = "batch statistics of the test images"
"""What a score in training mode uses beyond the image itself; see ``score_in_train_mode``."""


@dataclass(kw_only=True, eq=False)
class ImageNetwork(EpochMethod, Generic[Networks]):
    """A method whose ``networks`` see images of ``image_size``, and begin with DCGAN's initial weights.

    - ``epochs``, ``batch_size``, ``lr``, ``beta1``: of the training with Adam (β2 = 0.999).
    - ``min_steps``: at least so many in all; where a class is small, an epoch goes over it several times.
    - ``width``, ``latent``: of the networks.
    - ``score_in_train_mode``: batch-normalise test images by their own batch, as GANomaly's authors do. It lets images
      of the same batch, and through them the test labels, into a score; off unless that is what is to be shown.
    """

    epochs: Whole
    min_steps: Whole = 0
    batch_size: Count = 64
    lr: Positive = 2e-4
    beta1: BelowOne = 0.5
    width: Count = 64
    latent: Count = 100
    score_in_train_mode: bool = False

    resumable = True
    image_size = 32  # no hyperparameter, unless a subclass annotates it
    capturable = True
    """Whether the step may become a CUDA graph; see ``bench.training.train``."""
    validation = 0.0
    """Share of the training images that training does not see, to end with the epoch that reconstructs them best."""
    statistics = "running"
    """Of batch normalisation in scoring; ``per_pass`` where one layer meets several kinds of input: PassStatistics."""

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
            self.draw()
        to_device(self.networks, context)
        self.passes = PassStatistics(self.networks) if self.statistics == "per_pass" else None
        self.unsettled: Images | None
        images = resized(images, self.image_size)
        images, unseen = held_out(images, self.validation, context) if self.validation else (images, None)
        self.unsettled = images
        self.begin(images)
        best = BestEpoch(self.networks)
        for epoch in train(
            self.networks,
            self.step(context),
            images,
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=self.min_steps,
            prepare=self.prepare,
            capturable=self.capturable,
        ):
            self.unsettled = images
            if unseen is not None:
                best.show(self._error(unseen))  # which settles these weights
            if epoch.number == epoch.total:
                best.restore()
                self.unsettled = images
                self._settle_now()
            yield epoch
        self._settle_now()

    def draw(self) -> None:
        """Draw the first weights of the networks that were built."""
        initialise(self.networks)

    def begin(self, images: Images) -> None:
        """Take from the sized training images what training needs beside batches of them."""

    def settle(self, images: Images) -> None:
        """Take from the sized training images what scoring needs beside the weights: after training, and before the
        method is scored in between."""
        if self.passes is not None:
            self.passes.take(self.anomaly, self.batches(images))

    def _settle_now(self) -> None:
        images, self.unsettled = self.unsettled, None
        if images is not None:
            self.settle(images)

    def batches(self, images: Images) -> Iterator[Tensor]:
        """Prepared batches of sized images, as large as those of training, in order; a smaller last one is left out."""
        return batches(images, min(self.batch_size, len(images)), device=self.device, prepare=self.prepare, whole=True)

    def used(self) -> tuple[str, ...]:
        return (BATCH_STATISTICS,) if self.score_in_train_mode else ()

    def score(self, images: Images) -> Scores:
        self._settle_now()
        self.networks.train(self.score_in_train_mode)
        scores = scored(
            self.anomaly if self.score_in_train_mode else self._normalised(self.anomaly),
            resized(images, self.image_size),
            device=self.device,
            prepare=self.prepare,
            batch_size=self.batch_size if self.score_in_train_mode else SCORED_AT_ONCE,
        )
        self.networks.eval()
        return scores

    def reconstruct(self, images: Images) -> Images:
        """``reconstruction`` of every image, as pixels; what lies beyond black and white is black and white."""
        self._settle_now()
        black, white = self.prepare(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
        # an image's number may be a tensor
        compute = self._normalised(self.reconstruction)
        made = scored(compute, resized(images, self.image_size), device=self.device, prepare=self.prepare)
        pixels = 255 * (made - black) / (white - black)
        return pixels.round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)

    def _error(self, images: Images) -> float:
        """Mean absolute difference between sized images and their reconstructions, on the networks' scale."""
        self._settle_now()

        def error(x: Tensor) -> Tensor:
            return (x - self._normalised(self.reconstruction)(x)).abs().flatten(1).mean(dim=1)

        return float(scored(error, images, device=self.device, prepare=self.prepare).mean())

    def _normalised(self, compute: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return compute if self.passes is None else self.passes.apply(compute)

    def adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        return adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))
