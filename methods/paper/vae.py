"""Variational autoencoder: scored by the evidence lower bound, or by either of its two terms.

Kingma and Welling, Auto-encoding variational Bayes, ICLR 2014. The recipe of the VAE rows in published tables is not
known; this one has the networks of shared_ae, so that a comparison is about the method.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from bench.method import BelowOne, FitContext, Images, NotNegative, Positive, Whole, method
from bench.methods._autoencoder_networks import Decoder, Encoder, EncoderDecoderMethod
from bench.training import Step, autocast, minimise


class Networks(nn.Module):
    """q(z|x) = N(μ(x), σ²(x)) and p(x|z) = N(decoder(z), s²), with one deviation s for all pixels."""

    log_deviation: Tensor

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.register_buffer("log_deviation", torch.zeros(()))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ², (b, latent, 1, 1) each."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z|x) ‖ N(0, 1)) of each image, (b,): eq. 10's first term, appendix B."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(dim=1)


def best_log_deviation(squared_error: Tensor) -> Tensor:
    """log s for which the likelihood is largest: s² is the mean squared error (Rybkin et al. 2021)."""
    return 0.5 * squared_error.clamp(min=1e-6).log()


def negative_log_likelihood(x: Tensor, reconstruction: Tensor, log_deviation: Tensor) -> Tensor:
    """−log p(x|z) of each image, (b,), for a Gaussian of one deviation."""
    squared = (x - reconstruction).square().flatten(1)
    pixels = squared.shape[1]
    return 0.5 * squared.sum(dim=1) * (-2 * log_deviation).exp() + pixels * (
        log_deviation + 0.5 * math.log(2 * math.pi)
    )


@method(version="2", gpu_memory=1.0)
class VAE(EncoderDecoderMethod[Networks]):
    """Anomaly score: the negative evidence lower bound, −log p(x|z) + KL, at the posterior's mean.

    The deviation s is set in closed form: in training to what suits the batch best, in scoring the training images.

    - ``score_by``: ``elbo``, or one of its terms: ``reconstruction`` or ``kl``.
    - ``importance_samples``: where not 0, the likelihood itself is estimated with that many weighted samples (Burda et
      al. 2016), drawn from a fixed seed, the same for every image; for ``elbo`` only.
    - ``beta``: weight of the KL term in training. 1 is the bound.
    - The other parameters: as for shared_ae.
    """

    score_by: Literal["elbo", "reconstruction", "kl"] = "elbo"
    importance_samples: Whole = 0
    beta: NotNegative = 1.0
    lr: Positive = 1e-3
    beta1: BelowOne = 0.9

    def build(self, channels: int) -> Networks:
        return Networks(self.encoder(channels, outputs=2 * self.latent, bounded=False), self.decoder(channels))

    def reconstruction(self, x: Tensor) -> Tensor:
        """The mean of p(x|z) at the posterior's mean."""
        mean, _ = self.networks.posterior(x)
        reconstruction: Tensor = self.networks.decoder(mean)
        return reconstruction

    @torch.no_grad()
    def settle(self, images: Images) -> None:
        super().settle(images)
        errors = [(x - self.reconstruction(x)).square().mean() for x in self.batches(images)]
        self.networks.log_deviation.copy_(best_log_deviation(torch.stack(errors).mean()))

    def anomaly(self, x: Tensor) -> Tensor:
        nets = self.networks
        mean, log_variance = nets.posterior(x)
        if self.score_by == "kl":
            return kl(mean, log_variance)
        if self.score_by == "elbo" and self.importance_samples:
            return self._importance_weighted(x, mean, log_variance)
        reconstruction = negative_log_likelihood(x, nets.decoder(mean), nets.log_deviation)
        return reconstruction if self.score_by == "reconstruction" else reconstruction + kl(mean, log_variance)

    def _importance_weighted(self, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """−log of the mean of p(x|z) p(z) / q(z|x) over samples z = μ + σ ε, with the same ε for every image."""
        generator = torch.Generator().manual_seed(0)  # on the host: the same samples on every device
        deviation = (0.5 * log_variance).exp()
        weights = []
        for _ in range(self.importance_samples):
            noise = torch.randn(mean.shape[1:], generator=generator).to(x.device)
            z = mean + deviation * noise
            prior_over_posterior = 0.5 * (noise.square() + log_variance - z.square()).flatten(1).sum(dim=1)
            likelihood = -negative_log_likelihood(x, self.networks.decoder(z), self.networks.log_deviation)
            weights.append(likelihood + prior_over_posterior)
        return math.log(len(weights)) - torch.stack(weights).logsumexp(dim=0)

    def step(self, context: FitContext) -> Step:
        nets = self.networks
        optimiser = self.adam(nets.parameters())

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                mean, log_variance = nets.posterior(x)
                noise = torch.randn(mean.shape, device=x.device)
                reconstruction = nets.decoder(mean + (0.5 * log_variance).exp() * noise)
            log_deviation = best_log_deviation((x - reconstruction.float()).square().mean())
            misfit = negative_log_likelihood(x, reconstruction.float(), log_deviation).mean()
            divergence = kl(mean.float(), log_variance.float()).mean()
            minimise(misfit + self.beta * divergence, optimiser)
            return {"reconstruction": misfit, "kl": divergence}

        return step
