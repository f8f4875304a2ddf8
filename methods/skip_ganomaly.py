"""Skip-GANomaly: a U-Net generator against a discriminator, scored by image and feature differences.

Akcay, Atapour-Abarghouei and Breckon, Skip-GANomaly: skip connected and adversarially trained encoder-decoder anomaly
detection, IJCNN 2019; settings of the authors' code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.images import resized
from bench.method import Epoch, EpochMethod, FitContext, Images, Scores, method
from bench.methods._adversarial import BATCH_STATISTICS, Discriminator, real_against_fake
from bench.methods._dcgan import initialise
from bench.training import Step, adam, autocast, minimise, scored, seeded, to_device, train


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
        self.up = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * width, channels, 4, 2, 1, bias=False), nn.Tanh())

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
    layers.append(nn.Conv2d(4 * width, latent, 4, 1, 0, bias=False))
    return nn.Sequential(*layers, nn.Conv2d(latent, 1, 3, 1, 1, bias=False))


@method(version="1", published_used=("test labels, to choose the epoch", BATCH_STATISTICS))
class SkipGANomaly(EpochMethod):
    """Anomaly score: λ · mean (x − x̂)² + (1 − λ) · mean (f(x) − f(x̂))², f the discriminator's features (eq. 6).

    - ``w_adv``, ``w_con``, ``w_lat``: weights of the adversarial (eq. 2), contextual (eq. 3) and latent loss (eq. 4).
    - ``share``: λ of the score.
    - ``score_in_train_mode``: batch-normalise test images by their own batch, as the authors' code does. It lets images
      of the same batch, and through them the test labels, into a score; off unless that is what is to be shown.
    """

    w_adv: float = 1.0
    w_con: float = 50.0
    w_lat: float = 1.0
    share: float = 0.9
    epochs: int = 15
    batch_size: int = 64
    lr: float = 2e-4
    beta1: float = 0.5
    width: int = 64
    latent: int = 100
    score_in_train_mode: bool = False

    def used(self) -> tuple[str, ...]:
        return (BATCH_STATISTICS,) if self.score_in_train_mode else ()

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        images = resized(images, 32)
        self.device = context.device
        with seeded(context):
            self.generator = Generator(images.shape[3], self.width)
            self.discriminator = Discriminator(_judge(images.shape[3], self.width, self.latent))
            for network in (self.generator, self.discriminator):
                initialise(network)
                to_device(network, context)
        yield from train(
            nn.ModuleList([self.generator, self.discriminator]),
            self._step(context),
            images,
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
        )

    def score(self, images: Images) -> Scores:
        networks = (self.generator, self.discriminator)
        for network in networks:
            network.train(self.score_in_train_mode)
        batch_size = self.batch_size if self.score_in_train_mode else 1000
        scores = scored(self._anomaly, resized(images, 32), device=self.device, batch_size=batch_size)
        for network in networks:
            network.eval()
        return scores

    def _anomaly(self, x: Tensor) -> Tensor:
        x_hat = self.generator(x)
        image = (x - x_hat).square().flatten(1).mean(dim=1)
        features = (self.discriminator(x).features - self.discriminator(x_hat).features).square().flatten(1).mean(dim=1)
        return self.share * image + (1 - self.share) * features

    def _step(self, context: FitContext) -> Step:
        generator, discriminator = self.generator, self.discriminator
        optimiser_g = adam(generator.parameters(), lr=self.lr, betas=(self.beta1, 0.999))
        optimiser_d = adam(discriminator.parameters(), lr=self.lr, betas=(self.beta1, 0.999))

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                x_hat = generator(x)
                real, fake = discriminator(x), discriminator(x_hat)
            logit = fake.logit.float()
            adversarial = nn.functional.binary_cross_entropy_with_logits(logit, torch.ones_like(logit))  # eq. 2
            contextual = (x - x_hat.float()).abs().mean()  # eq. 3
            latent = (real.features - fake.features).float().square().mean()  # eq. 4
            loss_g = self.w_adv * adversarial + self.w_con * contextual + self.w_lat * latent  # eq. 5
            minimise(loss_g, optimiser_g)

            with autocast(context):
                real, fake = discriminator(x), discriminator(x_hat.detach())
            loss_d = real_against_fake(real, fake) + (real.features - fake.features).float().square().mean()
            minimise(loss_d, optimiser_d)
            return {"generator": loss_g, "discriminator": loss_d}

        return step
