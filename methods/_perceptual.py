"""The relative perceptual L1 distance: how far two images are apart in the features of a pretrained network.

Tuluptceva et al., Perceptual image anomaly detection, ACPR 2019, eq. 1; the layers and settings of the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from bench.weights import backbone

Layer = Literal["r32", "r42"]
LAYERS: dict[Layer, int] = {"r32": 14, "r42": 23}
"""How much of VGG-19 leads to the second ReLU of its third and of its fourth block."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1], by which the network's images were standardised when it was trained."""


class PerceptualDistance(nn.Module):
    """‖f̃(x) − f̃(y)‖₁ / ‖f̃(x)‖₁ of each pair of images (b, channels, size, size) in [−1, 1], (b,).

    f̃ are a layer's features, each channel standardised: by the authors with its mean and deviation over ImageNet, here
    with those over normal training images, as who has the weights does not have ImageNet.
    """

    mean: Tensor
    deviation: Tensor
    pixel_mean: Tensor
    pixel_deviation: Tensor

    def __init__(self, layer: Layer, weights: str) -> None:
        super().__init__()
        features = backbone("vgg19", weights, "features")
        assert isinstance(features, nn.Sequential)
        self.network = features[: LAYERS[layer]]
        channels = next(m.out_channels for m in reversed(list(self.network)) if isinstance(m, nn.Conv2d))
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("deviation", torch.ones(channels, 1, 1))
        self.register_buffer("pixel_mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("pixel_deviation", torch.tensor(DEVIATION)[:, None, None])

    @torch.no_grad()
    def standardise(self, batches: Iterable[Tensor]) -> None:
        """Take the channels' mean and deviation over batches of images."""
        self.mean.zero_()
        self.deviation.fill_(1.0)
        found = [torch.var_mean(self.features(batch), dim=(0, 2, 3), correction=0) for batch in batches]
        variances, means = (torch.stack(each) for each in zip(*found, strict=True))
        mean = means.mean(dim=0)
        variance = (variances + (means - mean).square()).mean(dim=0)
        self.mean.copy_(mean[:, None, None])
        deviation = variance.sqrt()
        # a channel that hardly moves on normal images must not outweigh all others where it does
        self.deviation.copy_(deviation.clamp(min=0.1 * float(deviation.mean()))[:, None, None])

    def features(self, x: Tensor) -> Tensor:
        """f̃(x), (b, channels of the layer, height, width); grey images stand in all three colours."""
        pixels = (x.expand(-1, 3, -1, -1) + 1) / 2
        made: Tensor = self.network((pixels - self.pixel_mean) / self.pixel_deviation)
        return (made - self.mean) / self.deviation

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        of_x = self.features(x)
        apart = (of_x - self.features(y)).abs().flatten(1).sum(dim=1)
        return apart / of_x.abs().flatten(1).sum(dim=1)
