"""PIAD: an autoencoder by perceptual distance whose codes and whose images two Wasserstein critics hold to theirs.

Tuluptceva et al., Perceptual image anomaly detection, ACPR 2019; networks and settings of the authors' code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.method import Count, FitContext, Images, NotNegative, Positive, Whole, method
from bench.methods._balanced import Balanced
from bench.methods._image_network import ImageNetwork
from bench.methods._perceptual import Layer, PerceptualDistance
from bench.methods._residual import SLOPE, Block, initialise
from bench.methods._wgan_gp import critic_loss, generator_loss, share
from bench.training import Step, adam, autocast, minimise
from bench.weights import USED, Weights


class Deviation(nn.Module):
    """One more channel, everywhere the same: how much the images of the batch differ, on average over all features."""

    def forward(self, x: Tensor) -> Tensor:
        spread = ((x - x.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt().mean()
        return torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], dim=1)


def to_vector(channels: int, widths: Sequence[int], outputs: int, *, of_batch: bool = False) -> nn.Sequential:
    """Images (b, channels, size, size) → (b, outputs): the encoder, and with ``of_batch`` the critic of images."""
    *inner, last = widths
    return nn.Sequential(
        nn.Conv2d(channels, widths[0], 3, padding=1),
        *(Block(before, after, "down") for before, after in itertools.pairwise([widths[0], *inner])),
        *([Deviation()] if of_batch else []),
        *(nn.LeakyReLU(SLOPE), nn.Conv2d(inner[-1] + of_batch, last, 4), nn.LeakyReLU(SLOPE)),
        *(nn.Conv2d(last, outputs, 1), nn.Flatten()),
    )


def to_image(channels: int, widths: Sequence[int], inputs: int) -> nn.Sequential:
    """Vectors (b, inputs) → images (b, channels, size, size), not bounded: the generator."""
    return nn.Sequential(
        *(nn.Unflatten(1, (inputs, 1, 1)), nn.ConvTranspose2d(inputs, widths[-1], 4)),
        *(Block(before, after, "up") for before, after in itertools.pairwise(reversed(widths))),
        *(Block(widths[0], widths[0]), nn.LeakyReLU(SLOPE), nn.Conv2d(widths[0], channels, 1)),
    )


def to_judgement(inputs: int, width: int) -> nn.Sequential:
    """Vectors (b, inputs) → (b, 1): the critic of codes."""
    first, second = nn.Linear(inputs, width), nn.Linear(width, width)
    return nn.Sequential(first, nn.LeakyReLU(SLOPE), second, nn.LeakyReLU(SLOPE), nn.Linear(width, 1))


class Networks(nn.Module):
    """E, G, their critics of codes and of images, and the distance, which is not trained."""

    def __init__(
        self, encoder: nn.Module, generator: nn.Module, of_codes: nn.Module, of_images: nn.Module, distance: nn.Module
    ) -> None:
        super().__init__()
        self.encoder, self.generator = Balanced(encoder), Balanced(generator)
        self.of_codes, self.of_images, self.distance = of_codes, of_images, distance


@method(version="1", gpu_memory=2.0, published_used=(USED,))
class PIAD(ImageNetwork[Networks]):
    """Anomaly score: the relative perceptual L1 distance of an image and its reconstruction G(E(x)).

    Training lowers this distance; a critic of images holds G(z), z ~ N(0, 1), to normal images, and one of codes holds
    E(x) to N(0, 1). The distance weighs as much as brings its gradients to the size of the critics', in E and in G.

    - ``layer``: of VGG-19, whose features are compared: ``r32`` or ``r42``.
    - ``weights``: of VGG-19, a file; empty: torchvision's own, from torch's cache.
    - ``critic_steps``: of both critics for one of E and G. ``batch_size``: of a step, for all of which it has other
      images: 96 are the authors' 32 for each.
    - ``lr``, ``critic_lr``, ``beta1``: of Adam, β2 = 0.99. ``penalty``: on the critics' gradients; ``drift``: on their
      judgements' squares.
    - ``width``, ``critic_width``: channels of E and G, and of the critic of images, at full size; they double with each
      halving up to ``growth`` times as many. ``code_width``: of the critic of codes.
    - The other parameters: of the networks and of their training.
    """

    epochs: Whole = 800
    batch_size: Count = 96
    critic_steps: Count = 2
    lr: Positive = 1e-4
    critic_lr: Positive = 5e-4
    penalty: NotNegative = 10.0
    drift: NotNegative = 1e-3
    width: Count = 32
    critic_width: Count = 32
    growth: Count = 1
    code_width: Count = 128
    latent: Count = 32
    layer: Layer = "r42"
    weights: Weights = ""
    image_size: Literal[8, 16, 32, 64] = 32

    def build(self, channels: int) -> Networks:
        halvings = range(int(math.log2(self.image_size)) - 1)
        growth = [min(2**halving, self.growth) for halving in halvings]
        widths, critic_widths = ([width * times for times in growth] for width in (self.width, self.critic_width))
        return Networks(
            to_vector(channels, widths, self.latent),
            to_image(channels, widths, self.latent),
            to_judgement(self.latent, self.code_width),
            to_vector(channels, critic_widths, 1, of_batch=True),
            PerceptualDistance(self.layer, self.weights),
        )

    def draw(self) -> None:
        nets = self.networks
        for part in (nets.encoder, nets.generator, nets.of_images):
            initialise(part)
        *inner, last = (layer for layer in nets.of_codes.modules() if isinstance(layer, nn.Linear))
        for layer in inner:
            nn.init.xavier_uniform_(layer.weight, nn.init.calculate_gain("leaky_relu", SLOPE))
        nn.init.xavier_uniform_(last.weight)

    def begin(self, images: Images) -> None:
        self.networks.distance.standardise(self.batches(images))

    def used(self) -> tuple[str, ...]:
        return (*super().used(), USED)

    def reconstruction(self, x: Tensor) -> Tensor:
        made: Tensor = self.networks.generator(self.networks.encoder(x))
        return made

    def anomaly(self, x: Tensor) -> Tensor:
        distance: Tensor = self.networks.distance(x, self.reconstruction(x))
        return distance

    def step(self, context: FitContext) -> Step:
        nets, betas = self.networks, (self.beta1, 0.99)
        weights_e, weights_g = (list(part.network.parameters()) for part in (nets.encoder, nets.generator))
        optimiser = adam([*weights_e, *weights_g], lr=self.lr, betas=betas)
        optimiser_z, optimiser_x = (
            adam(critic.parameters(), lr=self.critic_lr, betas=betas) for critic in (nets.of_codes, nets.of_images)
        )

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            size, losses = -(-len(x) // (self.critic_steps + 1)), []
            for number in range(self.critic_steps):
                real, z = share(x, number, size), torch.randn(size, self.latent, device=x.device)
                with autocast(context), torch.no_grad():
                    codes, fake = nets.encoder(real), nets.generator(z)
                of_codes = self._critic_loss(nets.of_codes, z, codes, context)
                of_images = self._critic_loss(nets.of_images, real, fake, context)
                minimise(of_codes, optimiser_z)
                minimise(of_images, optimiser_x)
                losses.append(torch.stack([of_codes, of_images]).detach())
            real, z = share(x, self.critic_steps, size), torch.randn(size, self.latent, device=x.device)
            with autocast(context):
                codes = nets.encoder(real)
                distance = nets.distance(real, nets.generator(codes)).float().mean()
                deceived = generator_loss(nets.of_codes, codes) + generator_loss(nets.of_images, nets.generator(z))
            apart = torch.autograd.grad(distance, [*weights_e, *weights_g], retain_graph=True)
            played = torch.autograd.grad(deceived, [*weights_e, *weights_g])
            nets.encoder.descend(played[: len(weights_e)], apart[: len(weights_e)])
            nets.generator.descend(played[len(weights_e) :], apart[len(weights_e) :])
            optimiser.step()
            of_codes, of_images = torch.stack(losses).mean(dim=0)
            return {"of_codes": of_codes, "of_images": of_images, "deceived": deceived, "perceptual": distance}

        return step

    def _critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, context: FitContext) -> Tensor:
        return critic_loss(critic, real, fake, penalty=self.penalty, drift=self.drift, context=context)
