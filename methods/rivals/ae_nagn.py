"""AE-NAGN: a decoder before an encoder, latent vectors and images optimised together, nobody playing against anybody.

Chen et al., Novelty detection via non-adversarial generative network, arXiv 2002.00522, 2020. Only its abstract was
open to us: what it says is here, and all else is our choice, with the networks of shared_ae. It is kin to the published
method and not to be held for it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.method import FitContext, NotNegative, Whole, method
from bench.methods._autoencoder_networks import Decoder, Encoder, EncoderDecoderMethod, distances
from bench.training import Step, autocast, minimise


class Networks(nn.Module):
    """The decoder D and the encoder E, in the order of training."""

    def __init__(self, decoder: Decoder, encoder: Encoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.encoder = encoder

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Latent vectors z → D(z), E(D(z))."""
        image = self.decoder(z)
        return image, self.encoder(image)


@method(version="1", gpu_memory=1.0)
class AENAGN(EncoderDecoderMethod[Networks]):
    """Anomaly score: w_image ‖x − x̂‖² + w_latent ‖z − E(x̂)‖², with z = E(x) and x̂ = D(z).

    That is the order of scoring, x → z → x̂ → E(x̂). Training goes the other way round, z → D(z) → E(D(z)): each image
    of a batch gets a latent vector z by gradient steps on ‖x − D(z)‖² from E(x), which nothing learns from; then D
    learns to make x from z, and both that E(D(z)) is z, of these vectors and of noisy ones around them. Vectors that
    stay with their image for the whole training would be the other reading of the abstract; a step sees images alone.

    - ``search_steps``, ``search_rate``: of the search for z; a step changes its coordinates by that much, as root mean
      square, within (−1, 1), the range of the encoder.
    - ``noise``: standard deviation of the noise around the z that were found; 0 leaves the noisy ones out.
    - ``w_image``, ``w_latent``: weights of image and latent errors, means over elements, in the loss and the score.
    - The other parameters: as for shared_ae.
    """

    search_steps: Whole = 3
    search_rate: NotNegative = 0.05
    noise: NotNegative = 0.1
    w_image: NotNegative = 1.0
    w_latent: NotNegative = 1.0

    statistics = "per_pass"  # the encoder meets images and decoded ones

    def build(self, channels: int) -> Networks:
        return Networks(self.decoder(channels), self.encoder(channels))

    def reconstruction(self, x: Tensor) -> Tensor:
        reconstruction: Tensor = self.networks.decoder(self.networks.encoder(x))
        return reconstruction

    def anomaly(self, x: Tensor) -> Tensor:
        z = self.networks.encoder(x)
        x_hat, z_hat = self.networks(z)
        return self.w_image * distances(x, x_hat, "mse") + self.w_latent * distances(z, z_hat, "mse")

    def search(self, x: Tensor, context: FitContext) -> Tensor:
        """Latent vectors whose decoded images are nearer to a batch than those of E(x), which the search begins at."""
        with torch.no_grad(), autocast(context):
            z = self.networks.encoder(x).float()
        for _ in range(self.search_steps):
            z.requires_grad_()
            with autocast(context):
                image = self.networks.decoder(z)
            (slope,) = torch.autograd.grad((x - image.float()).square().sum(), z)
            length = slope.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-12)
            z = (z.detach() - self.search_rate * slope / length).clamp(-1, 1)
        return z

    def step(self, context: FitContext) -> Step:
        nets = self.networks
        optimiser = self.adam(nets.parameters())

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            z = self.search(x, context)
            with autocast(context):
                x_hat, z_hat = nets(z)
            in_image = distances(x, x_hat.float(), "mse").mean()
            in_latent = distances(z, z_hat.float(), "mse").mean()
            if self.noise:
                around = z + self.noise * torch.randn(z.shape, device=z.device)
                with autocast(context):
                    _, z_hat = nets(around)
                in_latent = in_latent + distances(around, z_hat.float(), "mse").mean()
            minimise(self.w_image * in_image + self.w_latent * in_latent, optimiser)
            return {"image": in_image, "latent": in_latent}

        return step
