"""GANomaly: an encoder-decoder-encoder generator against a discriminator, scored by the two latent vectors' distance.

Akcay, Atapour-Abarghouei and Breckon, GANomaly: semi-supervised anomaly detection via adversarial training, ACCV 2018;
settings of the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn

from bench.images import standardised, symmetric
from bench.method import Epoch, FitContext, Images, NotNegative, method
from bench.methods._adversarial import (
    AdversarialMethod,
    Adversaries,
    Discriminator,
    FreshStart,
    real_against_fake,
)
from bench.methods._dcgan import FromVector, ToVector
from bench.methods._image_network import BATCH_STATISTICS
from bench.training import Step, autocast, minimise


def _encoder(channels: int, width: int, outputs: int) -> nn.Sequential:
    """(b, channels, 32, 32) → (b, outputs, 1, 1)."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for inputs in (width, 2 * width):
        layers += [
            nn.Conv2d(inputs, 2 * inputs, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * inputs),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, ToVector(4 * width, outputs, 4))


def _decoder(channels: int, width: int, latent: int) -> nn.Sequential:
    """(b, latent, 1, 1) → (b, channels, 32, 32) in (−1, 1)."""
    layers: list[nn.Module] = [FromVector(latent, 4 * width, 4), nn.BatchNorm2d(4 * width), nn.ReLU(inplace=True)]
    for inputs in (4 * width, 2 * width):
        layers += [
            nn.ConvTranspose2d(inputs, inputs // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(inputs // 2),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh())


class Generator(nn.Module):
    """Images → (reconstruction, latent vector, latent vector of the reconstruction)."""

    def __init__(self, channels: int, width: int, latent: int) -> None:
        super().__init__()
        self.encoder1 = _encoder(channels, width, latent)
        self.decoder = _decoder(channels, width, latent)
        self.encoder2 = _encoder(channels, width, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = self.encoder1(x)
        x_hat = self.decoder(z)
        return x_hat, z, self.encoder2(x_hat)


@method(version="1", gpu_memory=1.0, published_used=("test labels, to choose the epoch", BATCH_STATISTICS))
class GANomaly(AdversarialMethod[Generator]):
    """Anomaly score: the mean squared difference of z and ẑ (eq. 6 without its scaling over the test set).

    - ``w_adv``, ``w_con``, ``w_enc``: weights of the feature-matching (eq. 1), contextual (eq. 2) and encoder loss
      (eq. 3).
    - ``input_range``: ``symmetric`` scales to [−1, 1], what the generator's Tanh can reach; ``mnist`` standardises by
      MNIST's mean and deviation as the authors' MNIST loader does.
    - ``score_in_train_mode``: as the authors' code does, and no method should; the other parameters: of the networks
      and of their training.
    """

    w_adv: NotNegative = 1.0
    w_con: NotNegative = 50.0
    w_enc: NotNegative = 1.0
    input_range: Literal["symmetric", "mnist"] = "symmetric"

    def build(self, channels: int) -> Adversaries[Generator]:
        return Adversaries(
            Generator(channels, self.width, self.latent), Discriminator(_encoder(channels, self.width, 1))
        )

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        for epoch in super().fit_epochs(images, context):
            self._fresh.draw(epoch.number)
            yield epoch
        del self._fresh

    def reconstruction(self, x: Tensor) -> Tensor:
        x_hat: Tensor
        x_hat, _, _ = self.networks.generator(x)
        return x_hat

    def anomaly(self, x: Tensor) -> Tensor:
        _, z, z_hat = self.networks.generator(x)
        return (z - z_hat).square().flatten(1).mean(dim=1)

    def prepare(self, batch: Tensor) -> Tensor:
        return symmetric(batch) if self.input_range == "symmetric" else standardised(batch, 0.1307, 0.3081)

    def step(self, context: FitContext) -> Step:
        generator, discriminator = self.networks.generator, self.networks.discriminator
        optimiser_g, optimiser_d = self.adam(generator.parameters()), self.adam(discriminator.parameters())
        fresh = self._fresh = FreshStart(discriminator, context)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                x_hat, z, z_hat = generator(x)
                real, fake = discriminator(x), discriminator(x_hat)
                adversarial = (real.features - fake.features).square().mean()  # eq. 1
            contextual = (x - x_hat.float()).abs().mean()  # eq. 2
            encoder = (z - z_hat).float().square().mean()  # eq. 3
            loss_g = self.w_adv * adversarial.float() + self.w_con * contextual + self.w_enc * encoder  # eq. 4
            minimise(loss_g, optimiser_g, graph_stays=True)  # the discriminator has not changed
            loss_d = 0.5 * real_against_fake(real, fake)
            minimise(loss_d, optimiser_d)
            fresh.take_where(loss_d < 1e-5)
            return {"generator": loss_g, "discriminator": loss_d}

        return step
