"""The encoder and decoder of the shared-autoencoder paper (Fig. 3), which its kin are built from as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, MultipleOf
from torch import Tensor, nn

from bench.method import NotNegative, Whole
from bench.methods._dcgan import FromVector, ToVector
from bench.methods._image_network import ImageNetwork, Networks


def _convolution(cls: type[nn.Conv2d] | type[nn.ConvTranspose2d], inputs: int, outputs: int) -> nn.Module:
    return cls(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False)


def _normalised(convolution: nn.Module, channels: int, slope: float) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(channels), nn.LeakyReLU(slope, inplace=True)]


class Encoder(nn.Sequential):
    """Fig. 3a: images (b, channels, size, size) → latent vectors (b, latent, 1, 1), in (−1, 1) where ``bounded``.

    Three convolutions halve the size each; the fourth covers what is left. Batch normalisation in the second and third.
    """

    def __init__(
        self, *, channels: int, size: int, width: int, latent: int, slope: float, bounded: bool = True
    ) -> None:
        super().__init__(
            _convolution(nn.Conv2d, channels, width),
            nn.LeakyReLU(slope, inplace=True),
            *_normalised(_convolution(nn.Conv2d, width, 2 * width), 2 * width, slope),
            *_normalised(_convolution(nn.Conv2d, 2 * width, 4 * width), 4 * width, slope),
            ToVector(4 * width, latent, size // 8),
            *([nn.Tanh()] if bounded else []),
        )


class Decoder(nn.Sequential):
    """Fig. 3b: latent vectors (b, latent, 1, 1) → images (b, channels, size, size) in (−1, 1); the encoder mirrored."""

    def __init__(self, *, channels: int, size: int, width: int, latent: int, slope: float) -> None:
        first = FromVector(latent, 4 * width, size // 8)
        super().__init__(
            *_normalised(first, 4 * width, slope),
            *_normalised(_convolution(nn.ConvTranspose2d, 4 * width, 2 * width), 2 * width, slope),
            *_normalised(_convolution(nn.ConvTranspose2d, 2 * width, width), width, slope),
            _convolution(nn.ConvTranspose2d, width, channels),
            nn.Tanh(),
        )


def distances(a: Tensor, b: Tensor, norm: str) -> Tensor:
    """One distance an image, (b,), a mean over its elements: ``l1``, ``l2`` (root mean square) or ``mse``."""
    difference = (a - b).flatten(1)
    if norm == "l1":
        return difference.abs().mean(dim=1)
    squared = difference.square().mean(dim=1)
    return squared if norm == "mse" else squared.add(1e-12).sqrt()


@dataclass(kw_only=True, eq=False)
class EncoderDecoderMethod(ImageNetwork[Networks]):
    """A method that is built from these encoders and decoders.

    - ``image_size``: a multiple of 8. ``slope``: of the leaky ReLUs.
    """

    epochs: Whole = 50
    image_size: Annotated[int, Ge(8), MultipleOf(8)] = 32
    slope: NotNegative = 0.2

    def encoder(self, channels: int, *, bounded: bool = True, outputs: int | None = None) -> Encoder:
        """An encoder of the method's sizes, to ``outputs`` where they are not ``latent``."""
        latent = self.latent if outputs is None else outputs
        return Encoder(
            channels=channels, size=self.image_size, width=self.width, latent=latent, slope=self.slope, bounded=bounded
        )

    def decoder(self, channels: int) -> Decoder:
        """A decoder of the method's sizes."""
        return Decoder(channels=channels, size=self.image_size, width=self.width, latent=self.latent, slope=self.slope)
