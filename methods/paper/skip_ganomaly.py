"""Skip-GANomaly: a U-Net generator against a discriminator, scored by image and feature differences.

Akcay, Atapour-Abarghouei and Breckon, Skip-GANomaly: skip connected and adversarially trained encoder-decoder anomaly
detection, IJCNN 2019; settings of the authors' code.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn

from bench.method import FitContext, NotNegative, Part, method
from bench.methods._adversarial import (
    AdversarialMethod,
    Adversaries,
    Discriminator,
    real_against_fake,
)
from bench.methods._dcgan import ToVector
from bench.methods._image_network import BATCH_STATISTICS
from bench.training import Step, autocast, minimise


class Level(nn.Module):
    """One level of the U-Net: halves the image, passes it to the level below, doubles it, and adds its own input."""

    def __init__(self, outer: int, inner: int, below: nn.Module | None) -> None:
        super().__init__()
        down: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1, bias=False)]
        if below is not None:
            down.append(nn.BatchNorm2d(inner))
        self.down = nn.Sequential(*down)
        self.below = below
        joined = inner if below is None else 2 * inner
        self.up = nn.Sequential(
            nn.ReLU(), nn.ConvTranspose2d(joined, outer, 4, 2, 1, bias=False), nn.BatchNorm2d(outer)
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.down(x)
        return torch.cat([x, self.up(inner if self.below is None else self.below(inner))], dim=1)


class Generator(nn.Module):
    """Images (b, channels, 32, 32) → reconstructions in (−1, 1), over five levels of width, 2·, 4·, 8·, 8·width."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        level: nn.Module | None = None
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        for outer, inner in reversed(list(itertools.pairwise(widths))):
            level = Level(outer, inner, level)
        assert level is not None
        self.down = nn.Conv2d(channels, width, 4, 2, 1, bias=False)
        self.level = level
        self.up = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * width, channels, 4, 2, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = self.up(self.level(self.down(x)))
        return image


def _judge(channels: int, width: int, latent: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for inputs in (width, 2 * width):
        layers += [
            nn.Conv2d(inputs, 2 * inputs, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * inputs),
            nn.LeakyReLU(0.2),
        ]
    layers.append(ToVector(4 * width, latent, 4))
    return nn.Sequential(*layers, nn.Conv2d(latent, 1, 3, 1, 1, bias=False))


@method(version="2", gpu_memory=1.5, published_used=("test labels, to choose the epoch", BATCH_STATISTICS))
class SkipGANomaly(AdversarialMethod[Generator]):
    """Anomaly score: λ · mean (x − x̂)² + (1 − λ) · mean (f(x) − f(x̂))², f the discriminator's features (eq. 6).

    - ``w_adv``, ``w_con``, ``w_lat``: weights of the adversarial (eq. 2), contextual (eq. 3) and latent loss (eq. 4).
    - ``share``: λ of the score.
    - ``statistics``: with which the discriminator normalises x and x̂ in scoring: those of each, taken over the training
      images after every epoch (``per_pass``), or the layers' running ones, which are of both (``blend``).
    - ``score_in_train_mode``: as the authors' code does, and no method should; the other parameters: of the networks
      and of their training.
    """

    w_adv: NotNegative = 1.0
    w_con: NotNegative = 50.0
    w_lat: NotNegative = 1.0
    share: Part = 0.9
    statistics: Literal["per_pass", "blend"] = "per_pass"

    def build(self, channels: int) -> Adversaries[Generator]:
        return Adversaries(Generator(channels, self.width), Discriminator(_judge(channels, self.width, self.latent)))

    def reconstruction(self, x: Tensor) -> Tensor:
        x_hat: Tensor = self.networks.generator(x)
        return x_hat

    def anomaly(self, x: Tensor) -> Tensor:
        discriminator = self.networks.discriminator
        x_hat = self.reconstruction(x)
        image = (x - x_hat).square().flatten(1).mean(dim=1)
        features = (discriminator(x).features - discriminator(x_hat).features).square().flatten(1).mean(dim=1)
        return self.share * image + (1 - self.share) * features

    def step(self, context: FitContext) -> Step:
        generator, discriminator = self.networks.generator, self.networks.discriminator
        optimiser_g, optimiser_d = self.adam(generator.parameters()), self.adam(discriminator.parameters())

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                x_hat = generator(x)
                real, fake = discriminator(x), discriminator(x_hat)
            logit = fake.logit.float()
            adversarial = nn.functional.binary_cross_entropy_with_logits(logit, torch.ones_like(logit))  # eq. 2
            contextual = (x - x_hat.float()).abs().mean()  # eq. 3
            latent = (real.features - fake.features).float().square().mean()  # eq. 4
            loss_g = self.w_adv * adversarial + self.w_con * contextual + self.w_lat * latent  # eq. 5
            minimise(loss_g, optimiser_g, graph_stays=True)  # the discriminator has not changed
            loss_d = real_against_fake(real, fake) + (real.features - fake.features).float().square().mean()
            minimise(loss_d, optimiser_d)
            return {"generator": loss_g, "discriminator": loss_d}

        return step
