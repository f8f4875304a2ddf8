"""Convolutional autoencoder, scored by its reconstruction error: what the shared autoencoder adds to.

First row of the ablation (Table 5) of Jia and Liu, Anomaly detection in images with shared autoencoders, Frontiers in
Neurorobotics 2022: one encoder and one decoder, without latent loss, second encoder or adversary.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from bench.method import FitContext, method
from bench.methods._autoencoder_networks import EncoderDecoderMethod, distances
from bench.training import Step, autocast, minimise


@method(version="1", gpu_memory=1.0)
class Autoencoder(EncoderDecoderMethod[nn.Sequential]):
    """Anomaly score: ‖x − D(E(x))‖, which is also the loss. Parameters as for shared_ae."""

    norm: Literal["l1", "l2", "mse"] = "l1"

    def build(self, channels: int) -> nn.Sequential:
        return nn.Sequential(self.encoder(channels), self.decoder(channels))

    def reconstruction(self, x: Tensor) -> Tensor:
        reconstruction: Tensor = self.networks(x)
        return reconstruction

    def anomaly(self, x: Tensor) -> Tensor:
        return distances(x, self.reconstruction(x), self.norm)

    def step(self, context: FitContext) -> Step:
        optimiser = self.adam(self.networks.parameters())

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                reconstruction = self.networks(x)
            loss = distances(x, reconstruction.float(), self.norm).mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step
