"""Deep SVDD: a network that maps normal images close to a centre, after pretraining as an autoencoder.

Ruff et al., Deep one-class classification, ICML 2018; settings of the authors' PyTorch code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.checkpoints import remember
from bench.images import ContrastScaling, resized
from bench.maps import input_gradients
from bench.method import (
    Count,
    Epoch,
    EpochMethod,
    FitContext,
    Images,
    Maps,
    NotNegative,
    Positive,
    Scores,
    Share,
    Whole,
    method,
)
from bench.methods._lenet import LeNet, LeNetDecoder
from bench.training import Step, adam, autocast, minimise, scored, seeded, to_device, train, unchanged

Inputs = NDArray[np.float32]
"""Scaled images, (n, height, width, channels)."""


@method(version="2", gpu_memory=1.0)
class DeepSVDD(EpochMethod):
    """Distance to the centre c in the network's output space.

    Grey images are resized to 28×28 and meet the authors' MNIST network, colour images to 32×32 and their CIFAR-10
    network. Inputs: L1 global contrast normalisation, then scaled by the smallest and largest value in the training
    set. The defaults are the authors' for MNIST; bench.toml has theirs for colour images.

    - ``objective``: ``one-class`` (eq. 4) or ``soft-boundary`` (eq. 3, with ``nu``; R is set to the (1 − ν) quantile of
      the batch's distances from epoch 11 on).
    - ``pretrain_epochs``, ``pretrain_milestone``, ``pretrain_weight_decay``: of the autoencoder. 0 epochs leave it out.
    - ``epochs``, ``milestone``, ``weight_decay``: of the one-class training.
    - ``lr``, ``batch_size``: of both; the rate falls to a tenth after the milestone.
    - ``min_steps``: at least so many of each; where a class is small, an epoch goes over it several times.
    """

    objective: Literal["one-class", "soft-boundary"] = "one-class"
    nu: Share = 0.1
    pretrain_epochs: Whole = 150
    pretrain_milestone: Whole = 50
    pretrain_weight_decay: NotNegative = 0.5e-3
    epochs: Whole = 150
    milestone: Whole = 50
    weight_decay: NotNegative = 0.5e-6
    min_steps: Whole = 0
    lr: Positive = 1e-4
    batch_size: Count = 200

    resumable = True

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        channels = images.shape[3]
        images = self._sized(images)
        self.device = context.device
        self.scaling = ContrastScaling(images)
        inputs = self.scaling(images)
        with seeded(context):
            self.network = LeNet(channels)
            decoder = LeNetDecoder(channels) if self.pretrain_epochs else None
        to_device(self.network, context)
        total = self.pretrain_epochs + self.epochs
        if decoder is not None:
            to_device(decoder, context)
            for epoch in self._pretrain(decoder, inputs, context):
                yield dataclasses.replace(epoch, total=total, scorable=False)
        self.centre = self._mean_output(inputs)
        self.radius = remember(torch.zeros((), device=context.device))
        for epoch in self._train(inputs, context):
            yield dataclasses.replace(epoch, number=self.pretrain_epochs + epoch.number, total=total)

    def score(self, images: Images) -> Scores:
        inputs = self.scaling(self._sized(images))
        return scored(self._anomaly, inputs, device=self.device, prepare=unchanged)

    def score_map(self, images: Images) -> Maps:
        """Absolute gradient of the score with respect to the scaled image, blurred."""
        self.network.eval()
        return input_gradients(self._anomaly, self.scaling(self._sized(images)), device=self.device, prepare=unchanged)

    def _anomaly(self, x: Tensor) -> Tensor:
        distance = (self.network(x) - self.centre).square().sum(dim=1)
        return distance - self.radius.square() if self.objective == "soft-boundary" else distance

    # -------------------------------------------------------------------------------------------------- preparing

    @staticmethod
    def _sized(images: Images) -> Images:
        return resized(images, 28 if images.shape[3] == 1 else 32)

    def _mean_output(self, inputs: Inputs) -> Tensor:
        """The centre c: the mean output over the training set, no coordinate nearer to 0 than 0.1."""
        outputs = []
        self.network.eval()
        with torch.no_grad():
            for part in torch.from_numpy(inputs).split(1000):
                outputs.append(self.network(part.to(self.device).permute(0, 3, 1, 2)))
        centre = torch.cat(outputs).mean(dim=0)
        near = centre.abs() < 0.1
        return torch.where(near & (centre < 0), -0.1, torch.where(near & (centre > 0), 0.1, centre))

    # --------------------------------------------------------------------------------------------------- training

    def _pretrain(self, decoder: LeNetDecoder, inputs: Inputs, context: FitContext) -> Iterator[Epoch]:
        autoencoder = nn.Sequential(self.network, decoder)
        optimiser = adam(autoencoder.parameters(), lr=self.lr, weight_decay=self.pretrain_weight_decay)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                reconstruction = autoencoder(x)
            loss = (reconstruction.float() - x).square().flatten(1).sum(dim=1).mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return self._epochs(
            autoencoder, step, optimiser, inputs, self.pretrain_epochs, self.pretrain_milestone, context
        )

    def _train(self, inputs: Inputs, context: FitContext) -> Iterator[Epoch]:
        optimiser = adam(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                output = self.network(x)
            distance = (output.float() - self.centre).square().sum(dim=1)
            if self.objective == "one-class":
                loss = distance.mean()  # eq. 4
                minimise(loss, optimiser)
                return {"one_class": loss}
            slack = (distance - self.radius.square()).clamp(min=0).mean()
            loss = self.radius.square() + slack / self.nu  # eq. 3
            minimise(loss, optimiser)
            quantile = torch.quantile(distance.detach().sqrt(), 1 - self.nu)
            self.radius.copy_(torch.where(n > 10, quantile, self.radius))
            return {"soft_boundary": loss}

        return self._epochs(self.network, step, optimiser, inputs, self.epochs, self.milestone, context)

    def _epochs(
        self,
        network: nn.Module,
        step: Step,
        optimiser: torch.optim.Optimizer,
        inputs: Inputs,
        epochs: int,
        milestone: int,
        context: FitContext,
    ) -> Iterator[Epoch]:
        training = train(
            network,
            step,
            inputs,
            epochs=epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=self.min_steps,
            prepare=unchanged,
            drop_last=False,
            capturable=True,
        )
        for epoch in training:
            yield epoch
            if epoch.number == milestone:
                for group in optimiser.param_groups:
                    group["lr"] *= 0.1  # in place: it is a tensor
