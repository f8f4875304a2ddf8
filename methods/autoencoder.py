"""Convolutional autoencoder, scored by its reconstruction error: what the shared autoencoder adds to.

First row of the ablation (Table 5) of Jia and Liu, Anomaly detection in images with shared autoencoders, Frontiers in
Neurorobotics 2022: one encoder and one decoder, without latent loss, second encoder or adversary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn

from bench.images import resized
from bench.method import Epoch, EpochMethod, FitContext, Images, Scores, method
from bench.methods._autoencoder_networks import Decoder, Encoder, distances
from bench.methods._dcgan import initialise
from bench.training import Step, adam, autocast, minimise, scored, seeded, to_device, train


@method(version="1")
class Autoencoder(EpochMethod):
    """Anomaly score: ‖x − D(E(x))‖, which is also the loss. Parameters as for shared_ae."""

    norm: Literal["l1", "l2", "mse"] = "l1"
    epochs: int = 50
    batch_size: int = 64
    lr: float = 2e-4
    beta1: float = 0.5
    image_size: int = 32
    width: int = 64
    latent: int = 100
    slope: float = 0.2

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        channels, size, width, latent = images.shape[3], self.image_size, self.width, self.latent
        with seeded(context):
            self.network = nn.Sequential(
                Encoder(channels=channels, size=size, width=width, latent=latent, slope=self.slope),
                Decoder(channels=channels, size=size, width=width, latent=latent, slope=self.slope),
            )
            initialise(self.network)
        to_device(self.network, context)
        yield from train(
            self.network,
            self._step(context),
            resized(images, self.image_size),
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
        )

    def score(self, images: Images) -> Scores:
        return scored(self._anomaly, resized(images, self.image_size), device=self.device)

    def _anomaly(self, x: Tensor) -> Tensor:
        return distances(x, self.network(x), self.norm)

    def _step(self, context: FitContext) -> Step:
        optimiser = adam(self.network.parameters(), lr=self.lr, betas=(self.beta1, 0.999))

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                reconstruction = self.network(x)
            loss = distances(x, reconstruction.float(), self.norm).mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step
