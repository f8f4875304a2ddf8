"""Deep perceptual autoencoder: a residual autoencoder whose loss and score are distances between pretrained features.

Tuluptceva et al., Anomaly detection with deep perceptual autoencoders, 2020; networks of the authors' code.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, MultipleOf
from torch import Tensor, nn

from bench.method import BelowOne, Count, FitContext, Images, Positive, Whole, method
from bench.methods._image_network import ImageNetwork
from bench.methods._perceptual import Layer, PerceptualDistance
from bench.methods._residual import Downwards, Upwards, initialise
from bench.training import Step, autocast, minimise
from bench.weights import USED, Weights


class Networks(nn.Module):
    """The autoencoder, and the distance, which is not trained."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, distance: PerceptualDistance) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.distance = distance


@method(
    version="2",
    gpu_memory=2.0,
    published_used=(USED, "labelled images of an anomalous class, to choose the hyperparameters for each normal one"),
)
class PerceptualAE(ImageNetwork[Networks]):
    """Anomaly score: the relative perceptual L1 distance of an image and its reconstruction, which is also the loss.

    - ``layer``: of VGG-19, whose features are compared: ``r32`` or ``r42``.
    - ``weights``: of VGG-19, a file; empty: torchvision's own, from torch's cache.
    - ``width``, ``latent``, ``lr``, ``epochs``: the authors chose them for each normal class, by labelled anomalies:
      8 to 256 channels, 8 to 256 numbers, 2e-4 to 1e-2, some 5,000 steps. The defaults are one choice in between.
    - ``image_size`` (a multiple of 8) and the other parameters: of the networks and of their training.
    """

    epochs: Whole = 120
    batch_size: Count = 128
    lr: Positive = 1e-3
    beta1: BelowOne = 0.9
    width: Count = 32
    latent: Count = 32
    layer: Layer = "r32"
    weights: Weights = ""
    image_size: Annotated[int, Ge(8), MultipleOf(8)] = 32

    def build(self, channels: int) -> Networks:
        widths, size = [self.width] * 4, self.image_size
        return Networks(
            Downwards(channels, widths, self.latent, size),
            Upwards(channels, widths, self.latent, size),
            PerceptualDistance(self.layer, self.weights),
        )

    def draw(self) -> None:
        for part in (self.networks.encoder, self.networks.decoder):
            initialise(part)

    def begin(self, images: Images) -> None:
        self.networks.distance.standardise(self.batches(images))

    def used(self) -> tuple[str, ...]:
        return (*super().used(), USED)

    def reconstruction(self, x: Tensor) -> Tensor:
        made: Tensor = self.networks.decoder(self.networks.encoder(x))
        return made

    def anomaly(self, x: Tensor) -> Tensor:
        distance: Tensor = self.networks.distance(x, self.reconstruction(x))
        return distance

    def step(self, context: FitContext) -> Step:
        nets = self.networks
        optimiser = self.adam([*nets.encoder.parameters(), *nets.decoder.parameters()])

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                loss = nets.distance(x, self.reconstruction(x)).float().mean()
            minimise(loss, optimiser)
            return {"perceptual": loss}

        return step
