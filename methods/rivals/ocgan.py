"""OCGAN: a denoising autoencoder whose latent space is held to a uniform one, all of which decodes to the class.

Perera, Nallapati and Xiang, OCGAN: one-class novelty detection using GANs with constrained latent representations,
CVPR 2019; settings of the authors' code.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from bench.method import BelowOne, Count, FitContext, NotNegative, Part, Positive, Whole, method
from bench.methods._dcgan import FromVector, ToVector
from bench.methods._games import called_real
from bench.methods._image_network import ImageNetwork
from bench.training import Step, autocast, minimise

INSIDE = 1 - 1e-6
"""How far from 0 a latent coordinate may lie, for its inverse hyperbolic tangent to be finite."""


def _sides(size: int) -> tuple[int, int]:
    """What the 5×5 kernels are padded by, and the side that three halvings leave; 61 is the authors' size, unpadded."""
    return (0, 5) if size == 61 else (2, size // 8)


def _halving(channels: int, width: int, size: int) -> list[nn.Module]:
    """(b, channels, size, size) → (b, 4·width, side, side)."""
    padding, _ = _sides(size)
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 5, 2, padding), nn.LeakyReLU(0.2, inplace=True)]
    for inputs in (width, 2 * width):
        layers += [
            nn.Conv2d(inputs, 2 * inputs, 5, 2, padding, bias=False),
            nn.BatchNorm2d(2 * inputs),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return layers


def encoder(channels: int, width: int, latent: int, size: int) -> nn.Sequential:
    """En: images (b, channels, size, size) → latent vectors (b, latent, 1, 1) in (−1, 1)."""
    return nn.Sequential(*_halving(channels, width, size), ToVector(4 * width, latent, _sides(size)[1]), nn.Tanh())


def decoder(channels: int, width: int, latent: int, size: int) -> nn.Sequential:
    """De: latent vectors → images in (−1, 1), with dropout before the last ReLU."""
    padding, side = _sides(size)
    further = padding // 2  # output padding: an even side has two sides that halve to it

    def doubling(inputs: int, outputs: int, bias: bool = False) -> nn.Module:
        return nn.ConvTranspose2d(inputs, outputs, 5, 2, padding, further, bias=bias)

    return nn.Sequential(
        *(FromVector(latent, 4 * width, side), nn.BatchNorm2d(4 * width), nn.ReLU(inplace=True)),
        *(doubling(4 * width, 2 * width), nn.BatchNorm2d(2 * width), nn.ReLU(inplace=True)),
        *(doubling(2 * width, width), nn.BatchNorm2d(width), nn.Dropout(0.5), nn.ReLU(inplace=True)),
        *(doubling(width, channels, bias=True), nn.Tanh()),
    )


def image_judge(channels: int, width: int, size: int) -> nn.Sequential:
    """D_v and the classifier: images → one logit each (b, 1, 1, 1)."""
    return nn.Sequential(*_halving(channels, width, size), nn.Conv2d(4 * width, 1, _sides(size)[1]))


def latent_judge(latent: int) -> nn.Sequential:
    """D_l: latent vectors (b, latent, 1, 1) → 16 logits each, which all judge the same."""
    dense = (nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
    return nn.Sequential(nn.Flatten(), *dense, nn.Linear(32, 16))


class Networks(nn.Module):
    """En, De, D_l, D_v and the classifier C."""

    def __init__(self, channels: int, width: int, judge_width: int, latent: int, size: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(channels, width, latent, size), decoder(channels, width, latent, size)
        self.d_latent, self.d_visual = latent_judge(latent), image_judge(channels, judge_width, size)
        self.classifier = image_judge(channels, width, size)


def told_apart(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross-entropy of logits of real ones and of fake ones, half of it from each."""
    return 0.5 * (called_real(real) + called_real(-fake))


@method(version="1", gpu_memory=2.0)
class OCGAN(ImageNetwork[Networks]):
    """Anomaly score: the mean squared error of De(En(x + n)), or one of three that D_v gives.

    - ``score_by``: ``mse``, ‖x − De(En(x + n))‖²; or how unreal D_v finds De(En(x + n)) (``d_noisy_reconstruction``),
      x + n (``d_noisy_image``) or De(En(x)) (``d_reconstruction``). n is one noise for all images.
    - ``w_rec`` (λ), ``w_latent``: weights of the reconstruction and of the latent loss beside the visual one.
    - ``noise``: the deviation of n, for images in [−1, 1].
    - ``mining_steps``, ``mining_rate``: of the gradient descent to informative negatives, which begins after the share
      ``mining_from`` of the epochs.
    - ``judge_width``: of D_v; ``width``: of the other convolutional networks.
    - ``image_size``: 61 gives the authors' networks; elsewhere kernels are padded for the size to halve.
    - ``validation``: share of the training images that chooses the epoch by its reconstruction; 0: the last one.
    - ``score_in_train_mode``: not the authors', and no method's; the other parameters: of the training.
    """

    score_by: Literal["mse", "d_noisy_reconstruction", "d_noisy_image", "d_reconstruction"] = "mse"
    w_rec: NotNegative = 10.0
    w_latent: NotNegative = 10.0
    noise: NotNegative = 0.2
    mining_steps: Whole = 1
    mining_rate: Positive = 2.0
    mining_from: Part = 0.75
    epochs: Whole = 200
    batch_size: Count = 512
    latent: Count = 16
    judge_width: Count = 12
    image_size: Literal[8, 16, 32, 61] = 32
    validation: BelowOne = 0.1
    statistics = "per_pass"

    def build(self, channels: int) -> Networks:
        return Networks(channels, self.width, self.judge_width, self.latent, self.image_size)

    def noisy(self, x: Tensor) -> Tensor:
        """Images with the noise of scoring, the same for each."""
        generator = torch.Generator().manual_seed(0)  # on the host: the same noise on every device
        return x + self.noise * torch.randn(x.shape[1:], generator=generator).to(x.device)

    def reconstruction(self, x: Tensor) -> Tensor:
        given = x if self.score_by == "d_reconstruction" else self.noisy(x)
        x_hat: Tensor = self.networks.decoder(self.networks.encoder(given))
        return x_hat

    def anomaly(self, x: Tensor) -> Tensor:
        x_hat = self.reconstruction(x)  # for d_noisy_image too, so that statistics of its passes are there to show it
        if self.score_by == "mse":
            return (x - x_hat).square().flatten(1).mean(dim=1)
        logits: Tensor = self.networks.d_visual(self.noisy(x) if self.score_by == "d_noisy_image" else x_hat)
        return -logits.flatten(1).mean(dim=1)

    def step(self, context: FitContext) -> Step:
        nets = self.networks
        optimiser_g = self.adam([*nets.encoder.parameters(), *nets.decoder.parameters()])
        optimiser_d = self.adam([*nets.d_latent.parameters(), *nets.d_visual.parameters()])
        optimiser_c = self.adam(nets.classifier.parameters())

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                z = nets.encoder(x + self.noise * torch.randn_like(x))
                x_hat = nets.decoder(z)
                with torch.no_grad():
                    drawn = nets.decoder(uniform_like(z))
                latent = told_apart(nets.d_latent(uniform_like(z)), nets.d_latent(z.detach()))
                visual = told_apart(nets.d_visual(x), nets.d_visual(drawn))
                classifier = told_apart(nets.classifier(x_hat.detach()), nets.classifier(drawn))
            minimise(latent + visual, optimiser_d)
            minimise(classifier, optimiser_c)
            with autocast(context):
                u = self.mined(uniform_like(z), self.mining_rate * (n > self.mining_from * self.epochs))
                deceived = called_real(nets.d_visual(nets.decoder(u)))
                deceived = deceived + self.w_latent * called_real(nets.d_latent(z))
            reconstruction = 0.5 * (x - x_hat.float()).square().mean()
            minimise(deceived + self.w_rec * reconstruction, optimiser_g)
            return {"latent": latent, "visual": visual, "classifier": classifier, "reconstruction": reconstruction}

        return step

    def mined(self, u: Tensor, rate: Tensor) -> Tensor:
        """Latent vectors (b, latent, 1, 1) moved to where the classifier finds De(u) less like the class.

        The steps are taken before a tanh, which keeps them in (−1, 1).
        """
        for _ in range(self.mining_steps):
            free = u.float().atanh().requires_grad_()
            called_fake = softplus(self.networks.classifier(self.networks.decoder(free.tanh())).float())
            (slope,) = torch.autograd.grad(called_fake.sum(), free)  # of a sum: no smaller in a larger batch
            u = (free - rate * slope).detach().tanh().clamp(-INSIDE, INSIDE)
        return u


def uniform_like(z: Tensor) -> Tensor:
    """Latent vectors drawn from U(−1, 1)."""
    return INSIDE * (2 * torch.rand_like(z, dtype=torch.float32) - 1)
