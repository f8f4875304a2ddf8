"""GPND: an adversarial autoencoder, scored by the density of an image along its manifold and away from it.

Pidhorskyi, Almohsen, Adjeroh and Doretto, Generative probabilistic novelty detection with adversarial autoencoders,
NeurIPS 2018; settings of the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.images import resized, standardised
from bench.method import BelowOne, Count, Epoch, FitContext, Images, NotNegative, Positive, Scores, Whole, method
from bench.methods._adversarial import Discriminator, real_against_fake
from bench.methods._dcgan import FromVector
from bench.methods._games import called_real
from bench.methods._image_network import ImageNetwork
from bench.methods._tangent import GeneralisedNormals, HistogramDensity, with_log_volume
from bench.training import Step, autocast, minimise, scored

SCORED_AT_ONCE = 64
"""Images: as many columns of a Jacobian as there are latent coordinates take the memory of as many images each."""


def _vector(inputs: int, outputs: int) -> nn.Linear:
    """A layer whose weights begin as the authors'."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _judge(channels: int, width: int, outputs: int) -> nn.Sequential:
    """Images (b, channels, 32, 32) → (b, outputs): the image discriminator, and the encoder, which is built alike."""
    half, double, quadruple = width // 2 or 1, 2 * width, 4 * width
    # convolutions before batch normalisation need no bias
    return nn.Sequential(
        nn.Conv2d(channels, half, 4, 2, 1),
        nn.LeakyReLU(0.2),
        *(nn.Conv2d(half, double, 4, 2, 1, bias=False), nn.BatchNorm2d(double), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(double, quadruple, 4, 2, 1, bias=False), nn.BatchNorm2d(quadruple), nn.LeakyReLU(0.2)),
        nn.Flatten(),
        _vector(16 * quadruple, outputs),
    )


class Networks(nn.Module):
    """Encoder, decoder, and the discriminators of images and of latent vectors."""

    def __init__(self, channels: int, width: int, latent: int) -> None:
        super().__init__()
        double = 2 * width
        self.encoder = _judge(channels, width, latent)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (latent, 1, 1)),
            *(FromVector(latent, double, 4), nn.BatchNorm2d(double), nn.ReLU()),
            *(nn.ConvTranspose2d(double, double, 4, 2, 1, bias=False), nn.BatchNorm2d(double), nn.ReLU()),
            *(nn.ConvTranspose2d(double, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
        )
        self.of_images = Discriminator(_judge(channels, width, 1))
        layers = [_vector(latent, width), nn.LeakyReLU(0.2), _vector(width, width), nn.LeakyReLU(0.2)]
        self.of_codes = Discriminator(nn.Sequential(*layers, _vector(width, 1)))

    def decode(self, z: Tensor) -> Tensor:
        """Latent vectors (b, latent) → images (b, channels, 32, 32) in (0, 1): (tanh(a) + 1) / 2, the sigmoid of 2a."""
        return torch.sigmoid(2 * self.decoder(z))


@method(version="1", gpu_memory=3.0, published_used=("anomalies in the validation set, to choose the threshold of F1",))
class GPND(ImageNetwork[Networks]):
    """Anomaly score: −log p(x), p(x) = p(w∥) · p(w⊥), for the image's parts along the manifold and away from it.

    p(w∥) = |det S⁻¹| · Π pᵢ(zᵢ) at z = E(x): S holds the singular values of the decoder's Jacobian, pᵢ are generalised
    normal densities. p(w⊥) = Γ(N/2) / (2 π^(N/2) r^(N − 1)) · p(r) at r = ‖x − D(E(x))‖, with a histogram for p(r).
    Both are fitted to the training images.

    - ``score_by``: all of it (``log_p``), or a part: ``parallel`` is −log p(w∥), ``perpendicular`` −log p(w⊥),
      ``latent`` −Σ log pᵢ(zᵢ), ``volume`` log det S.
    - ``power``: N = power · (pixels − latent); the derivation says 1, the authors' code .2.
    - ``bins``: of the histogram.
    - ``w_reconstruction``: weight of the reconstruction's cross-entropy, that of the encoder's game being 1.
    - ``milestone``: the learning rate falls to a quarter after every so many epochs.
    - The other parameters: of the networks and of their training; ``width`` is the authors' d. ``score_in_train_mode``
      is refused: where a batch is normalised by itself, no image has a Jacobian of its own.
    """

    epochs: Whole = 80
    batch_size: Count = 128
    lr: Positive = 2e-3
    beta1: BelowOne = 0.5
    width: Count = 128
    latent: Count = 16
    score_by: Literal["log_p", "parallel", "perpendicular", "latent", "volume"] = "log_p"
    power: Positive = 0.2
    bins: Count = 30
    w_reconstruction: NotNegative = 2.0
    milestone: Count = 30

    statistics = "per_pass"  # the decoder meets the prior's vectors and the encoder's

    def build(self, channels: int) -> Networks:
        return Networks(channels, self.width, self.latent)

    def prepare(self, batch: Tensor) -> Tensor:
        return standardised(batch, 0.0, 1.0)

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        if self.score_in_train_mode:
            raise BenchError("gpnd has no score in training mode; leave score_in_train_mode out")
        yield from super().fit_epochs(images, context)

    def reconstruction(self, x: Tensor) -> Tensor:
        return self.networks.decode(self.networks.encoder(x))

    def settle(self, images: Images) -> None:
        assert self.passes is not None
        self.passes.take(self.reconstruction, self.batches(images))  # a Jacobian would be of the whole batch

        def code_and_distance(x: Tensor) -> Tensor:
            z = self.networks.encoder(x)
            return torch.cat([z, _distance(x, self.networks.decode(z))[:, None]], dim=1)

        compute = self.passes.apply(code_and_distance)
        found = scored(compute, images, device=self.device, prepare=self.prepare)
        self.of_codes = GeneralisedNormals.fitted(found[:, :-1], self.device)
        self.of_distances = HistogramDensity.fitted(found[:, -1], self.bins, self.device)

    def score(self, images: Images) -> Scores:
        self._settle_now()
        images = resized(images, self.image_size)
        compute = self._normalised(self.anomaly)
        return scored(compute, images, device=self.device, prepare=self.prepare, batch_size=SCORED_AT_ONCE)

    def anomaly(self, x: Tensor) -> Tensor:
        z = self.networks.encoder(x)
        if self.score_by == "latent":
            return -self.of_codes.log_density(z)
        if self.score_by == "perpendicular":
            return -self._log_perpendicular(x, self.networks.decode(z))
        x_hat, volume = with_log_volume(self.networks.decode, z)
        if self.score_by == "volume":
            return volume
        parallel = self.of_codes.log_density(z) - volume
        return -parallel if self.score_by == "parallel" else -parallel - self._log_perpendicular(x, x_hat)

    def _log_perpendicular(self, x: Tensor, x_hat: Tensor) -> Tensor:
        return self.of_distances.log_density_around(_distance(x, x_hat), self.power * (x[0].numel() - self.latent))

    def step(self, context: FitContext) -> Step:
        nets = self.networks
        decoder = self.adam(nets.decoder.parameters())
        autoencoder = self.adam([*nets.encoder.parameters(), *nets.decoder.parameters()])
        of_images, of_codes = self.adam(nets.of_images.parameters()), self.adam(nets.of_codes.parameters())

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            rate = self.lr * 0.25 ** (n / self.milestone).floor()
            for optimiser in (decoder, autoencoder, of_images, of_codes):
                optimiser.param_groups[0]["lr"].copy_(rate)
            prior = torch.randn(3, len(x), self.latent, device=x.device)

            with autocast(context):
                with torch.no_grad():
                    fake = nets.decode(prior[0])
                loss_images = real_against_fake(nets.of_images(x), nets.of_images(fake))
            minimise(loss_images, of_images)

            with autocast(context):
                loss_decoder = called_real(nets.of_images(nets.decode(prior[1])).logit)
            minimise(loss_decoder, decoder)

            with autocast(context):
                z = nets.encoder(x)
                loss_codes = real_against_fake(nets.of_codes(prior[2]), nets.of_codes(z.detach()))
            minimise(loss_codes, of_codes)

            with autocast(context):
                logits, judged = 2 * nets.decoder(z), nets.of_codes(z)
            reconstruction = nn.functional.binary_cross_entropy_with_logits(logits.float(), x)
            loss_encoder = called_real(judged.logit)
            minimise(self.w_reconstruction * reconstruction + loss_encoder, autoencoder)
            games = {"of_images": loss_images, "of_codes": loss_codes, "decoder": loss_decoder, "encoder": loss_encoder}
            return {**games, "reconstruction": reconstruction}

        return step


def _distance(x: Tensor, x_hat: Tensor) -> Tensor:
    """‖x − x̂‖ (b,)."""
    return (x - x_hat).square().flatten(1).sum(dim=1).sqrt()
