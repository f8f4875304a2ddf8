"""f-AnoGAN: a Wasserstein GAN of normal images and an encoder into its latent space, scored by image and features.

Schlegl et al., f-AnoGAN: fast unsupervised anomaly detection with generative adversarial networks, Medical Image
Analysis 2019; networks and settings of the authors' code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from bench.checkpoints import remember
from bench.images import resized
from bench.method import BelowOne, Count, Epoch, FitContext, Images, NotNegative, Positive, Whole, method
from bench.methods._adversarial import Discriminator
from bench.methods._generator import downwards, layer_norm, upwards, widths
from bench.methods._image_network import ImageNetwork
from bench.methods._wgan_gp import critic_loss, generator_loss, share
from bench.training import Step, adam, autocast, minimise, seeded, to_device, train


class Networks(nn.Module):
    """The generator, its critic, which normalises each image by itself, and the encoder."""

    def __init__(self, channels: int, size: int, width: int, latent: int, bounded: bool) -> None:
        super().__init__()
        at = widths(size, width)
        self.generator = upwards(channels, at, latent)
        self.critic = Discriminator(downwards(channels, at, 1, layer_norm))
        self.encoder = downwards(channels, at, latent, nn.BatchNorm2d)
        if bounded:
            self.encoder.append(nn.Tanh())

    def judged(self, x: Tensor) -> Tensor:
        """How real each image is, (b,)."""
        logit: Tensor = self.critic(x).logit
        return logit


@method(version="1", gpu_memory=2.0)
class FAnoGAN(ImageNetwork[Networks]):
    """Anomaly score: mean (x − x̂)² + κ · mean (f(x) − f(x̂))² with x̂ = G(E(x)), f the critic's features.

    First the generator and its critic are trained, then the encoder by the same sum (izi_f), on the others as they are.

    - ``epochs``, ``lr``, ``beta1``: of the first, with Adam, β2 = 0.9. 7 epochs are the authors', of far more images.
    - ``critic_steps``: of the critic, with other images each, for one of the generator. ``penalty``: on its gradient.
    - ``encoder_epochs``, ``encoder_lr``: of the second, with RMSprop. The authors have 50,000 steps, not epochs.
    - ``min_steps``: at least so many of the generator, and of the encoder.
    - ``kappa``: κ. ``bounded``: a Tanh after the encoder, which the authors' code has as an option.
    - ``image_size``: 64 is the authors', whose networks halve it once more.
    - The other parameters: of the networks and of their training.
    """

    epochs: Whole = 7
    encoder_epochs: Whole = 7
    critic_steps: Count = 5
    penalty: NotNegative = 10.0
    kappa: NotNegative = 1.0
    lr: Positive = 1e-4
    beta1: BelowOne = 0.0
    encoder_lr: Positive = 5e-5
    latent: Count = 128
    image_size: Literal[8, 16, 32, 64] = 32
    bounded: bool = False

    def build(self, channels: int) -> Networks:
        return Networks(channels, self.image_size, self.width, self.latent, self.bounded)

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        with seeded(context):
            self.networks = self.build(images.shape[3])
        to_device(self.networks, context)
        self.passes = self.unsettled = None
        images = resized(images, self.image_size)
        total = self.epochs + self.encoder_epochs
        # what a step gets is a batch for each step of the critic, so that all steps are alike
        batch_size = self.critic_steps * self.batch_size
        for epoch in self._epochs(self.networks, self.gan_step(context), images, self.epochs, batch_size, context):
            yield dataclasses.replace(epoch, total=total, scorable=False)
        self.networks.generator.requires_grad_(False)
        self.networks.critic.requires_grad_(False)
        encoder, step = self.networks.encoder, self.step(context)
        for epoch in self._epochs(encoder, step, images, self.encoder_epochs, self.batch_size, context):
            yield dataclasses.replace(epoch, number=self.epochs + epoch.number, total=total)

    def gan_step(self, context: FitContext) -> Step:
        """Steps of the critic, then one of the generator."""
        nets = self.networks
        optimiser_g, optimiser_c = (
            adam(part.parameters(), lr=self.lr, betas=(self.beta1, 0.9)) for part in (nets.generator, nets.critic)
        )

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            size, losses = min(self.batch_size, len(x)), []
            for number in range(self.critic_steps):
                real = share(x, number, size)
                with autocast(context), torch.no_grad():
                    fake = nets.generator(torch.randn(size, self.latent, device=x.device))
                loss_c = critic_loss(nets.judged, real, fake, penalty=self.penalty, context=context)
                minimise(loss_c, optimiser_c)
                losses.append(loss_c.detach())
            with autocast(context):
                loss_g = generator_loss(nets.judged, nets.generator(torch.randn(size, self.latent, device=x.device)))
            minimise(loss_g, optimiser_g)
            return {"critic": torch.stack(losses).mean(), "generator": loss_g}

        return step

    def step(self, context: FitContext) -> Step:
        encoder = self.networks.encoder
        on_gpu = context.device.startswith("cuda")
        optimiser = remember(
            torch.optim.RMSprop(encoder.parameters(), lr=self.encoder_lr, alpha=0.9, eps=1e-10, capturable=on_gpu)
        )

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                image, features = self.distances(x)
            loss = (image + self.kappa * features).mean()
            minimise(loss, optimiser)
            return {"image": image.mean(), "features": features.mean()}

        return step

    def distances(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squared differences of images and x̂, (b,), and of their features: the terms of izi_f."""
        critic, x_hat = self.networks.critic, self.reconstruction(x)
        image = (x - x_hat.float()).square().flatten(1).mean(dim=1)
        return image, (critic(x).features - critic(x_hat).features).float().square().mean(dim=1)

    def reconstruction(self, x: Tensor) -> Tensor:
        x_hat: Tensor = self.networks.generator(self.networks.encoder(x))
        return x_hat

    def anomaly(self, x: Tensor) -> Tensor:
        image, features = self.distances(x)
        return image + self.kappa * features

    def _epochs(
        self, network: nn.Module, step: Step, images: Images, epochs: int, batch_size: int, context: FitContext
    ) -> Iterator[Epoch]:
        return train(
            network,
            step,
            images,
            epochs=epochs,
            batch_size=batch_size,
            context=context,
            min_steps=self.min_steps,
            prepare=self.prepare,
            capturable=self.capturable,
        )
