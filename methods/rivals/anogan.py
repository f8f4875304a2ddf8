"""AnoGAN: a generative adversarial network of normal images, scored by how near a search in its latent space comes.

Schlegl et al., Unsupervised anomaly detection with generative adversarial networks to guide marker discovery, IPMI
2017. No code of the authors is public.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, MultipleOf
from torch import Tensor, nn

from bench.batchnorm import PassStatistics
from bench.method import FitContext, Images, Part, Positive, Whole, method
from bench.methods._adversarial import AdversarialMethod, Adversaries, Discriminator, real_against_fake
from bench.methods._autoencoder_networks import Decoder, Encoder
from bench.methods._games import called_real
from bench.training import Step, adam, autocast, minimise


@method(version="1", gpu_memory=2.0)
class AnoGAN(AdversarialMethod[Decoder]):
    """Anomaly score: (1 − λ) · Σ|x − G(z)| + λ · Σ|f(x) − f(G(z))| for the z that a search found.

    The search takes steps of Adam on z alone, from a point that is drawn once and is the same for every image. f is the
    last layer of features of the discriminator. G and the discriminator are DCGAN's for images of ``image_size``.

    - ``epochs``: of the networks; 20 in the paper.
    - ``search_steps``: 500 in the paper. ``search_lr``, ``beta1``: of its Adam; an unofficial implementation's.
    - ``share``: λ of the search and of the score.
    - ``image_size``: a multiple of 8. The paper has patches of 64.
    - ``score_in_train_mode``: batch-normalise by the test batch, which no method should. The other parameters: of the
      networks and of their training.
    """

    epochs: Whole = 20
    image_size: Annotated[int, Ge(8), MultipleOf(8)] = 32
    search_steps: Whole = 500
    search_lr: Positive = 1e-3
    share: Part = 0.1

    def build(self, channels: int) -> Adversaries[Decoder]:
        sizes = {"channels": channels, "size": self.image_size, "width": self.width}
        judge = Encoder(**sizes, latent=1, slope=0.2, bounded=False)
        networks = Adversaries(Decoder(**sizes, latent=self.latent, slope=0.0), Discriminator(nn.Sequential(*judge)))
        # in training real and fake images are normalised apart, so the discriminator's running statistics fit neither
        self.of_real, self.of_made = PassStatistics(networks), PassStatistics(networks)
        return networks

    def step(self, context: FitContext) -> Step:
        generator, discriminator = self.networks.generator, self.networks.discriminator
        optimiser_g, optimiser_d = self.adam(generator.parameters()), self.adam(discriminator.parameters())

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                made = generator(2 * torch.rand(len(x), self.latent, 1, 1, device=x.device) - 1)
                real, fake = discriminator(x), discriminator(made.detach())
            loss_d = real_against_fake(real, fake)
            minimise(loss_d, optimiser_d)
            with autocast(context):
                judged = discriminator(made)
            loss_g = called_real(judged.logit)  # −log D(G(z))
            minimise(loss_g, optimiser_g)
            return {"generator": loss_g, "discriminator": loss_d}

        return step

    def settle(self, images: Images) -> None:
        discriminator, random = self.networks.discriminator, torch.Generator().manual_seed(1)
        self.of_real.take(discriminator, self.batches(images))
        self.of_made.take(
            lambda x: discriminator(self.networks.generator(self._drawn(len(x), random))), self.batches(images)
        )

    def anomaly(self, x: Tensor) -> Tensor:
        z = self._searched(x)
        with torch.no_grad():
            return self.mismatch(x)(z)

    def reconstruction(self, x: Tensor) -> Tensor:
        """G(z) for the z that the search found."""
        z = self._searched(x)
        with torch.no_grad():
            return self._normalised_as(self.of_made, self.networks.generator)(z)

    def mismatch(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """What the search minimises and the score is, (b,), as a function of the latent vectors (b, latent, 1, 1)."""
        generator, features = self.networks.generator, self.networks.discriminator.features
        with torch.no_grad():
            f_x = self._normalised_as(self.of_real, features)(x)

        def of(z: Tensor) -> Tensor:
            made = generator(z)
            residual = (x - made).abs().flatten(1).sum(dim=1)
            discrimination = (f_x - features(made)).abs().flatten(1).sum(dim=1)
            return (1 - self.share) * residual + self.share * discrimination

        return self._normalised_as(self.of_made, of)

    def _searched(self, x: Tensor) -> Tensor:
        """Latent vectors (b, latent, 1, 1) for images; the search for one knows nothing of the others."""
        with torch.inference_mode(False), torch.enable_grad():  # images are scored without gradients
            mismatch = self.mismatch(x.clone())
            z = nn.Parameter(self._drawn(1, torch.Generator().manual_seed(0)).repeat(len(x), 1, 1, 1))
            optimiser = adam([z], lr=self.search_lr, betas=(self.beta1, 0.999))
            for _ in range(self.search_steps):
                minimise(mismatch(z).sum(), optimiser)
            return z.detach()

    def _drawn(self, n: int, random: torch.Generator) -> Tensor:
        """Latent vectors from U(−1, 1), drawn on the host for every device to have the same."""
        return (2 * torch.rand(n, self.latent, 1, 1, generator=random) - 1).to(self.device)

    def _normalised_as(
        self, statistics: PassStatistics, compute: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        return compute if self.score_in_train_mode else statistics.apply(compute)
