"""Robust deep autoencoder: splits training images into a part that an autoencoder explains and a sparse rest.

Zhou and Paffenroth, Anomaly detection with robust deep autoencoders, KDD 2017; network and settings of the authors'
code (zc8340311/RobustAutoencoder). It is made for training sets with outliers in them, and finds these.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench.checkpoints import remember
from bench.images import flattened, resized
from bench.method import Count, Epoch, EpochMethod, FitContext, Images, NotNegative, Positive, Scores, Whole, method
from bench.training import Step, adam, autocast, minimise, scored, seeded, to_device, train, unchanged

Penalty = Literal["l21", "l21_features", "l1"]


class TiedAutoencoder(nn.Module):
    """Rows (b, sizes[0]) → rows of the same size in (0, 1): sigmoid layers whose decoder has the encoder's matrices."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(sizes))
        self.weights = nn.ParameterList(nn.init.xavier_uniform_(torch.empty(pair)) for pair in pairs)
        self.encoder_biases = nn.ParameterList(torch.empty(size).uniform_(-0.1, 0.1) for _, size in pairs)
        self.decoder_biases = nn.ParameterList(torch.empty(size).uniform_(-0.1, 0.1) for size, _ in pairs)

    def forward(self, x: Tensor) -> Tensor:
        for weight, bias in zip(self.weights, self.encoder_biases, strict=True):
            x = torch.sigmoid(x @ weight + bias)
        for weight, bias in zip(reversed(self.weights), reversed(self.decoder_biases), strict=True):
            x = torch.sigmoid(x @ weight.T + bias)
        return x


def shrunk(residual: Tensor, threshold: float, penalty: Penalty) -> Tensor:
    """The proximal operator: the S that minimises ½‖residual − S‖² + threshold · ‖S‖, rows being images.

    ‖S‖ is the sum of the lengths of its rows (``l21``), of its columns (``l21_features``) or of its elements (``l1``).
    Each is shortened by the threshold, and zero where it is not as long.
    """
    dims = {"l21": 1, "l21_features": 0}
    lengths = residual.abs() if penalty == "l1" else residual.norm(dim=dims[penalty], keepdim=True)
    return residual * (1 - threshold / lengths.clamp(min=1e-12)).clamp(min=0)


@method(
    version="1",
    gpu_memory=1.0,
    published_used=("the scored images, as training images", "labels, to choose λ"),
)
class RobustAutoencoder(EpochMethod):
    """Anomaly score: the root mean square of x − D(E(x)), by the autoencoder of the part L of the training images.

    The paper scores its own training images, by their part S. This score is ours: it is of an image that training has
    not seen, and depends on that image alone.

    In turn, the autoencoder is trained to reconstruct L = X − S, and S is what it leaves of X, shrunk. An epoch is one
    such turn.

    - ``penalty``: of S: ``l21`` sets whole images aside, ``l21_features`` pixels in all images, ``l1`` single pixels.
    - ``lam``: λ, as a root mean square of pixels in [0, 1]: rows, columns or pixels whose residual is smaller are not
      set aside. The threshold of their lengths is λ · √(numbers in a row or column).
    - ``hidden``, ``latent``: sizes of the layers. ``image_size``: of what images are resized to; 28 gives the authors'
      784 pixels.
    - ``epochs``: turns; ``inner_epochs``: of training in each. ``min_steps``: of training, at least so many in all.
    - ``batch_size``, ``lr``: of the training with Adam.
    """

    penalty: Penalty = "l21"
    lam: NotNegative = 0.12
    hidden: Count = 400
    latent: Count = 200
    image_size: Count = 28
    epochs: Whole = 8
    inner_epochs: Count = 100
    min_steps: Whole = 0
    batch_size: Count = 133
    lr: Positive = 1e-3

    resumable = True

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        x = torch.from_numpy(self._rows(images)).to(context.device)
        with seeded(context):
            self.network = TiedAutoencoder(x.shape[1], self.hidden, self.latent)
        to_device(self.network, context)
        explained = remember(x.clone())  # L; S = X − L is zero at first
        steps = self.epochs * self.inner_epochs * max(1, len(x) // self.batch_size)
        for epoch in train(
            self.network,
            self._step(explained, context),
            np.arange(len(x)).reshape(-1, 1, 1, 1),  # which rows: they change between epochs
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=max(self.min_steps, steps),
            prepare=unchanged,
            capturable=True,
        ):
            with torch.no_grad():
                sparse = self._shrunk(x - self.network(explained))
                explained.copy_(x - sparse)
            self.set_aside = sparse.square().mean(dim=1).sqrt()
            yield epoch

    def _step(self, explained: Tensor, context: FitContext) -> Step:
        optimiser = adam(self.network.parameters(), lr=self.lr)

        def step(numbers: Tensor, n: Tensor) -> dict[str, Tensor]:
            rows = explained[numbers.flatten()]
            with autocast(context):
                reconstruction = self.network(rows)
            loss = (rows - reconstruction.float()).square().mean()
            minimise(200 * loss, optimiser)
            return {"reconstruction": loss}

        return step

    def _shrunk(self, residual: Tensor) -> Tensor:
        together = {"l21": residual.shape[1], "l21_features": residual.shape[0], "l1": 1}[self.penalty]
        return shrunk(residual, self.lam * together**0.5, self.penalty)

    def score(self, images: Images) -> Scores:
        return scored(self._anomaly, self._rows(images)[:, None, None], device=self.device, prepare=unchanged)

    def _anomaly(self, x: Tensor) -> Tensor:
        rows = x.flatten(1)
        residual: Tensor = rows - self.network(rows)
        return residual.square().mean(dim=1).sqrt()

    def reconstruct(self, images: Images) -> Images:
        rows = self._rows(images)
        made = scored(lambda x: self.network(x.flatten(1)), rows[:, None, None], device=self.device, prepare=unchanged)
        pixels = (255 * made).round().clip(0, 255).astype(np.uint8)
        return pixels.reshape(len(images), self.image_size, self.image_size, images.shape[3])

    def _rows(self, images: Images) -> np.ndarray:
        return flattened(resized(images, self.image_size))
