"""PixelCNN: the likelihood of an image, pixel by pixel and colour by colour, each from those before it.

van den Oord, Kalchbrenner and Kavukcuoglu, Pixel recurrent neural networks, ICML 2016. Which network is behind the
PixelCNN rows of one-class tables is not known. Corrections of the score: Ren et al., Likelihood ratios for
out-of-distribution detection, NeurIPS 2019; Serrà et al., Input complexity and out-of-distribution detection with
likelihood-based generative models, ICLR 2020.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.images import resized
from bench.method import Count, Epoch, EpochMethod, FitContext, Images, Positive, Scores, Share, Whole, method
from bench.methods._masked_convolution import MaskedConvolution
from bench.training import Step, adam, autocast, minimise, scored, seeded, to_device, train

SCORED_AT_ONCE = 50
"""Images: the logits of one in colour are 3 MB."""

Compressor = Literal["png", "zlib"]


class Block(nn.Sequential):
    """Residual block of 2h features (Fig. 5, left): to h by 1×1, h to h by 3×3, back by 1×1; all of mask B."""

    def __init__(self, h: int, colours: int) -> None:
        super().__init__(
            nn.ReLU(),
            MaskedConvolution(2 * h, h, 1, kind="B", colours=colours),
            nn.ReLU(),
            MaskedConvolution(h, h, 3, kind="B", colours=colours),
            nn.ReLU(),
            MaskedConvolution(h, 2 * h, 1, kind="B", colours=colours),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = super().forward(x)
        return x + change


class Network(nn.Module):
    """The PixelCNN of Table 1: levels (b, colours, height, width) → logits (b, height, width, colours, levels)."""

    def __init__(self, colours: int, levels: int, h: int, blocks: int) -> None:
        super().__init__()
        self.colours = colours
        self.levels = levels
        self.layers = nn.Sequential(
            MaskedConvolution(colours, 2 * h, 7, kind="A", colours=colours),
            *(Block(h, colours) for _ in range(blocks)),
            nn.ReLU(),
            MaskedConvolution(2 * h, 2 * h, 1, kind="B", colours=colours),
            nn.ReLU(),
            MaskedConvolution(2 * h, levels * colours, 1, kind="B", colours=colours),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(2 * x / (self.levels - 1) - 1)
        return logits.permute(0, 2, 3, 1).unflatten(3, (self.colours, self.levels))


def bits_per_dimension(logits: Tensor, x: Tensor) -> Tensor:
    """−log2 p(x) of each image, (b,), as a mean over pixels and colours; p(x) is the product of eqs. 1 and 2."""
    levels = x.permute(0, 2, 3, 1).long()
    nats = nn.functional.cross_entropy(logits.flatten(0, 3).float(), levels.flatten(), reduction="none")
    return nats.view(len(x), -1).mean(dim=1) / math.log(2)


def mutated(x: Tensor, rate: float, levels: int) -> Tensor:
    """Levels of which a share, drawn at random, is replaced by random ones (Ren et al. 2019)."""
    drawn = torch.randint(levels, x.shape, device=x.device)
    return torch.where(torch.rand(x.shape, device=x.device) < rate, drawn.to(x.dtype), x)


def compressed_bits_per_dimension(images: Images, compressor: Compressor) -> NDArray[np.float64]:
    """What each image takes when a lossless compressor has done its best, (n,): the L of Serrà et al. 2020."""
    return np.array([8 * _compressed_bytes(image, compressor) / image.size for image in images])


def _compressed_bytes(image: NDArray[np.uint8], compressor: Compressor) -> int:
    from PIL import Image

    if compressor == "zlib":
        return len(zlib.compress(image.tobytes(), level=9))
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG", optimize=True)
    return file.tell()


@method(version="1", gpu_memory=12.0)
class PixelCNN(EpochMethod):
    """Anomaly score: the negative log-likelihood in bits a dimension, or a correction of it.

    - ``score_by``: ``nll``, as the published rows presumably are; ``ratio`` subtracts that of a second network, trained
      beside the first on mutated images, which knows the background only (Ren et al. 2019); ``complexity`` subtracts
      the bits a dimension of the image when it is compressed (Serrà et al. 2020). The likelihood alone favours simple
      images, whatever the normal class.
    - ``levels``: of a pixel; a softmax of so many. 256 are all; with fewer, images are quantised and cost less.
    - ``width``: h of the paper, half the features between the residual ``blocks``.
    - ``image_size``: larger images are resized to this; others stay as they are, because pixels that are interpolated
      follow from their neighbours.
    - ``mutation_rate``: share of pixels that ``ratio`` replaces; our choice among the .1, .2 and .3 of the authors'
      script.
    - ``compressor``: of ``complexity``: ``png``, or ``zlib`` without PNG's prediction from neighbours.
    - ``epochs``, ``min_steps`` (in all), ``batch_size``, ``lr``: of the training with Adam, our choice; the paper has
      RMSProp.
    """

    score_by: Literal["nll", "ratio", "complexity"] = "nll"
    levels: Annotated[int, Ge(2), Le(256)] = 256
    width: Count = 128
    blocks: Whole = 15
    image_size: Count = 32
    mutation_rate: Share = 0.1
    compressor: Compressor = "png"
    epochs: Whole = 25
    min_steps: Whole = 0
    batch_size: Count = 64
    lr: Positive = 1e-3

    resumable = True

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        names = ("model", "background") if self.score_by == "ratio" else ("model",)
        with seeded(context):
            self.networks = nn.ModuleDict(
                {name: Network(images.shape[3], self.levels, self.width, self.blocks) for name in names}
            )
        to_device(self.networks, context)
        yield from train(
            self.networks,
            self._step(context),
            self._quantised(images),
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=self.min_steps,
            prepare=Tensor.float,
            capturable=True,
        )

    def _step(self, context: FitContext) -> Step:
        optimiser = adam(self.networks.parameters(), lr=self.lr)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            losses = {}
            for name, network in self.networks.items():
                seen = mutated(x, self.mutation_rate, self.levels) if name == "background" else x
                with autocast(context):
                    logits = network(seen)
                losses[name] = bits_per_dimension(logits, seen).mean()
            minimise(torch.stack(list(losses.values())).sum(), optimiser)  # the networks have no weight in common
            return losses

        return step

    def score(self, images: Images) -> Scores:
        images = self._quantised(images)
        scores = self._scored(self._anomaly, images)
        if self.score_by == "complexity":
            return scores - compressed_bits_per_dimension(images, self.compressor)
        return scores

    def reconstruct(self, images: Images) -> Images:
        """Every pixel as the mean of what is predicted from the pixels before it."""
        means = self._scored(self._predicted, self._quantised(images))
        return (255 * means / (self.levels - 1)).round().clip(0, 255).astype(np.uint8)

    def _anomaly(self, x: Tensor) -> Tensor:
        bits = bits_per_dimension(self.networks["model"](x), x)
        if self.score_by == "ratio":
            return bits - bits_per_dimension(self.networks["background"](x), x)
        return bits

    def _predicted(self, x: Tensor) -> Tensor:
        """The mean level of each pixel given those before it, (b, height, width, colours)."""
        probabilities = self.networks["model"](x).float().softmax(dim=-1)
        return probabilities @ torch.arange(self.levels, dtype=torch.float32, device=x.device)

    def _scored(self, compute: Callable[[Tensor], Tensor], images: Images) -> NDArray[np.float32]:
        return scored(compute, images, device=self.device, prepare=Tensor.float, batch_size=SCORED_AT_ONCE)

    def _quantised(self, images: Images) -> Images:
        """The level of every pixel, 0 to ``levels`` − 1."""
        if max(images.shape[1:3]) > self.image_size:
            images = resized(images, self.image_size)
        return (images.astype(np.uint16) * self.levels // 256).astype(np.uint8)
