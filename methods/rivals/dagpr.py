"""DAGPR: an autoencoder, and Gaussian-process regression from its latent vectors to labels of its own making.

Fan et al., Robust deep auto-encoding Gaussian process regression for unsupervised anomaly detection, Neurocomputing
2020; settings of the authors' code. That code scores the images that it learns from, anomalies among them. Here it
learns from normal images and scores others: this inductive form is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.images import standardised
from bench.method import BelowOne, Count, Epoch, FitContext, Images, Part, Positive, Whole, method
from bench.methods._image_network import ImageNetwork
from bench.randomness import derive_seed
from bench.training import Step, autocast, minimise, scored

FIRST_NORMAL, FIRST_CHOSEN, FIRST_ANOMALOUS = (0.3, 2000), 0.4, (0.06, 400)
"""The nearest images, the share of them that is drawn, and the farthest: the authors' 800 of 2000 and 400, but no more
than these shares of the set, as in theirs of some 6,700 images."""
NORMAL, CHOSEN_NORMAL, ANOMALOUS, CHOSEN_ANOMALOUS = 0.2, 0.8, 0.055, 0.9
"""Of a later selection: shares of all images by their lowest and highest labels, and what is drawn of these."""


class Networks(nn.Module):
    """Images (b, channels, 32, 32) → latent vectors (b, latent) of length 1 → images without negative pixels."""

    def __init__(self, channels: int, width: int, latent: int) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 4 * width)
        encoder, decoder = list[nn.Module](), list[nn.Module]()
        for outer, inner, kernel in zip(widths, widths[1:], (5, 5, 3), strict=False):
            encoder += [nn.Conv2d(outer, inner, kernel, 2, kernel // 2), nn.ReLU()]
            decoder = [nn.ConvTranspose2d(inner, outer, kernel, 2, kernel // 2, 1), nn.ReLU(), *decoder]
        self.encoder = nn.Sequential(*encoder, nn.Flatten(), nn.Linear(64 * width, latent))
        spread = [nn.Linear(latent, 64 * width), nn.ReLU(), nn.Unflatten(1, (4 * width, 4, 4))]
        self.decoder = nn.Sequential(*spread, *decoder)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0.0, 0.1)
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                assert layer.bias is not None
                nn.init.constant_(layer.bias, 0.1)

    def encode(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(self.encoder(x), dim=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latent vectors and reconstructions."""
        z = self.encode(x)
        return z, self.decoder(z)


class GaussianProcess(NamedTuple):
    """Regression from points (n, d): its mean anywhere is the prior's + k(·, points) @ weights."""

    points: Tensor
    weights: Tensor
    prior: float
    lengthscale: float

    @classmethod
    def fitted(cls, points: Tensor, labels: Tensor, prior: float, lengthscale: float, noise: float) -> GaussianProcess:
        """The exact posterior; for a Gaussian likelihood the authors' variational one has no other optimum."""
        k = kernel(points, points, lengthscale)
        k.diagonal().add_(noise)
        return cls(points, torch.linalg.solve(k, labels - prior), prior, lengthscale)

    def mean(self, z: Tensor) -> Tensor:
        return self.prior + kernel(z.double(), self.points, self.lengthscale) @ self.weights


def kernel(a: Tensor, b: Tensor, lengthscale: float) -> Tensor:
    """(n, d), (m, d) → (n, m): squared exponential, linear and constant kernel, each of variance 1."""
    products = a @ b.T
    squared = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * products
    return (squared / (-2 * lengthscale**2)).exp() + products + 1


class Selection(NamedTuple):
    """Indices of training images that are called normal, label 0, and anomalous, label 1."""

    normal: np.ndarray
    anomalous: np.ndarray


def _least(share: float, images: int, most: int | None = None) -> int:
    return min(max(1, int(share * images)), most or images)


def first_selection(distances: np.ndarray, random: np.random.Generator) -> Selection:
    """By distances (n,) from the centre: some of the nearest, drawn, and the farthest."""
    order, n = np.argsort(distances, kind="stable"), len(distances)
    near = order[: _least(FIRST_NORMAL[0], n, FIRST_NORMAL[1])]
    drawn = random.permutation(near)[: _least(FIRST_CHOSEN, len(near))]
    return Selection(drawn, order[n - _least(FIRST_ANOMALOUS[0], n, FIRST_ANOMALOUS[1]) :])


def next_selection(labels: np.ndarray, random: np.random.Generator) -> Selection:
    """By predicted labels (n,): some of the lowest and of the highest, drawn."""
    order, n = np.argsort(labels, kind="stable"), len(labels)
    low, high = order[: _least(NORMAL, n)], order[n - _least(ANOMALOUS, n) :]
    return Selection(
        random.permutation(low)[: _least(CHOSEN_NORMAL, len(low))],
        random.permutation(high)[: _least(CHOSEN_ANOMALOUS, len(high))],
    )


@method(version="1", gpu_memory=1.0, published_used=("the scored images, anomalies among them, for training",))
class DAGPR(ImageNetwork[Networks]):
    """Anomaly score: the label that a Gaussian process predicts for the latent vector, 0 being normal and 1 anomalous.

    The autoencoder minimises ½‖x − x̂‖². Then training images far from the centre of all, in their latent vectors and
    reconstruction errors together, are called anomalous and images near to it normal; a Gaussian process is fitted to
    them, and in every round to others, those with the lowest and highest labels by the last one.

    - ``form``: ``inductive``. The authors' is ``transductive``, which suites of one class have no place for.
    - ``rounds``: of selection after the first; the authors have 10 for MNIST, 30 for CIFAR-10.
    - ``prior``: the label where the process knows nothing. The authors' 0 calls normal what is far from all training
      images, which does no harm where every scored image is one of them; here such an image is anomalous.
    - ``lengthscale``, ``gp_noise``: of the squared exponential kernel, and the variance of the labels' noise (1 is the
      default of the authors' library).
    - The other parameters: of the networks and of their training.
    """

    epochs: Whole = 200
    batch_size: Count = 256
    lr: Positive = 1e-3
    beta1: BelowOne = 0.9
    width: Count = 32
    latent: Count = 10
    form: Literal["inductive", "transductive"] = "inductive"
    rounds: Whole = 30
    prior: Part = 1.0
    lengthscale: Positive = 0.3
    gp_noise: Positive = 1.0

    def build(self, channels: int) -> Networks:
        return Networks(channels, self.width, self.latent)

    def prepare(self, batch: Tensor) -> Tensor:
        return standardised(batch, 0.0, 1.0)

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        if self.form == "transductive":
            raise BenchError(
                "the transductive form of dagpr scores the images that it is trained on, among them anomalies; suites "
                "of one class train on normal images and score others: leave form out, or write form='inductive'"
            )
        self.selection_seed = derive_seed(context.seed, "selection")
        yield from super().fit_epochs(images, context)

    def reconstruction(self, x: Tensor) -> Tensor:
        return self.networks(x)[1]

    def anomaly(self, x: Tensor) -> Tensor:
        return self.process.mean(self.networks.encode(x))

    def settle(self, images: Images) -> None:
        def code_and_error(x: Tensor) -> Tensor:
            z, x_hat = self.networks(x)
            return torch.cat([z, _half_squared(x, x_hat)[:, None]], dim=1)

        found = scored(code_and_error, images, device=self.device, prepare=self.prepare).astype(np.float64)
        codes = torch.from_numpy(found[:, :-1])
        random = np.random.default_rng(self.selection_seed)
        selection = first_selection(np.square(found - found.mean(axis=0)).sum(axis=1), random)
        for _ in range(self.rounds):
            selection = next_selection(self._process(codes, selection).mean(codes).numpy(), random)
        last = self._process(codes, selection)
        self.process = last._replace(points=last.points.to(self.device), weights=last.weights.to(self.device))

    def _process(self, codes: Tensor, selection: Selection) -> GaussianProcess:
        chosen = np.concatenate(selection)
        labels = torch.zeros(len(chosen), dtype=torch.float64)
        labels[len(selection.normal) :] = 1
        return GaussianProcess.fitted(codes[chosen], labels, self.prior, self.lengthscale, self.gp_noise)

    def step(self, context: FitContext) -> Step:
        optimiser = self.adam(self.networks.parameters())

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                x_hat = self.reconstruction(x)
            loss = _half_squared(x, x_hat.float()).mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step


def _half_squared(x: Tensor, x_hat: Tensor) -> Tensor:
    """½‖x − x̂‖² (b,)."""
    return 0.5 * (x - x_hat).square().flatten(1).sum(dim=1)
