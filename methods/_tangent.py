"""Densities beside a manifold of images that a decoder spans: its volume, its coordinates, the distance from it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_SINGULAR_VALUE = 1e-4
"""Below it, what single precision leaves of a singular value is rounding."""
LEAST_LOG_DENSITY = -1000.0
"""Of one coordinate."""
LEAST_DENSITY = 1e-308
"""Of a distance that no training image has."""
SHAPES = (0.5, 8.0)
"""Range of a shape β. A handful of images would take β to infinity: the uniform density between their extremes."""


def with_log_volume(decoder: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """The decoder's images of z (b, latent), and Σ log sᵢ (b,) over the singular values of its Jacobian at each.

    Forward mode, one column of all Jacobians for each coordinate of z; the decoder is called once. It must not let the
    images of a batch meet, as batch statistics do.
    """

    def column(direction: Tensor) -> Any:
        return torch.func.jvp(decoder, (z,), (direction.expand_as(z),))

    basis = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, of what it loads for forward mode
        images, columns = torch.func.vmap(column)(basis)
    jacobian = columns.flatten(2).permute(1, 0, 2).double()  # (b, latent, pixels)
    # the squares of the singular values: exact enough in double precision, and a small matrix for each image
    squared = torch.linalg.eigvalsh(jacobian @ jacobian.transpose(1, 2))
    return images[0], 0.5 * squared.clamp(min=LEAST_SINGULAR_VALUE**2).log().sum(dim=1)


@dataclass
class GeneralisedNormals:
    """β / (2αΓ(1/β)) · exp(−(|z − μ| / α)^β) for each coordinate; parameters float64 (latent,)."""

    beta: Tensor
    mu: Tensor
    alpha: Tensor

    @classmethod
    def fitted(cls, codes: NDArray[np.floating], device: str) -> GeneralisedNormals:
        """By maximum likelihood on codes (n, latent), each coordinate by itself."""
        rows = np.array([_fit(column) for column in codes.T.astype(np.float64)])
        return cls(*torch.from_numpy(rows.T.copy()).to(device))

    def log_density(self, z: Tensor) -> Tensor:
        """log p(z) (b,) of codes (b, latent): the sum over coordinates."""
        constant = self.beta.log() - (2 * self.alpha).log() - torch.lgamma(1 / self.beta)
        each = constant - ((z.double() - self.mu).abs() / self.alpha).pow(self.beta)
        return each.clamp(min=LEAST_LOG_DENSITY).sum(dim=1)


def _fit(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """β, μ and α for the values of one coordinate."""
    from scipy.stats import gennorm

    mean, deviation = float(values.mean()), float(values.std())
    if deviation < 1e-6:  # no likelihood has a maximum
        return 2.0, mean, 1e-6
    start = {"loc": mean, "scale": math.sqrt(2) * deviation}
    beta, mu, alpha = gennorm.fit(values, 2.0, **start)
    nearest = min(max(beta, SHAPES[0]), SHAPES[1])
    if nearest != beta:
        beta, mu, alpha = gennorm.fit(values, f0=nearest, **start)
    return float(beta), float(mu), float(alpha)


@dataclass
class HistogramDensity:
    """A density of distances: constant in each bin, falling in proportion to the distance below the first."""

    edges: Tensor
    density: Tensor

    @classmethod
    def fitted(cls, distances: NDArray[np.floating], bins: int, device: str) -> HistogramDensity:
        """By bins of one width between the smallest and the largest of the distances (n,)."""
        density, edges = np.histogram(distances.astype(np.float64), bins=bins, density=True)
        return cls(torch.from_numpy(edges).to(device), torch.from_numpy(density).to(device))

    def log_density(self, distance: Tensor) -> Tensor:
        """log p (b,) of distances (b,), float64."""
        edges, within = self.edges, torch.bucketize(distance, self.edges[1:-1], right=True)
        below = self.density[0] * distance / edges[0]
        density = torch.where(distance < edges[0], below, self.density[within])
        return torch.where(distance > edges[-1], 0.0, density).clamp(min=LEAST_DENSITY).log()

    def log_density_around(self, distance: Tensor, dimensions: float) -> Tensor:
        """The same, spread evenly over the sphere of that radius (b,): log p of a vector of so many dimensions."""
        n, r = dimensions, distance.double().clamp(min=1e-6)
        log_sphere = math.log(2) + n / 2 * math.log(math.pi) - math.lgamma(n / 2) + (n - 1) * r.log()
        return self.log_density(r) - log_sphere
