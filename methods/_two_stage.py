"""Two stages: a representation is learnt from normal images, then a one-class classifier on what it makes of them.

Sohn et al., Learning and evaluating representations for deep one-class classification, ICLR 2021; the authors' code.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import torch
from sklearn.svm import OneClassSVM
from torch import Tensor, nn

from bench.method import Count, FitContext, Images, Whole
from bench.methods._representation import EncoderMethod
from bench.randomness import global_generators_seeded

SHARPNESS = 10.0
"""How many times the γ that scikit-learn calls "scale" the authors take."""
TINY = 1e-12


class KernelSum:
    """A weighted sum of Gaussian kernels exp(−γ‖f − fᵢ‖²) on points of the unit sphere."""

    def __init__(self, points: Tensor, weights: Tensor, gamma: float) -> None:
        self.points = points.double()
        self.log_weights = weights.double().log()
        self.gamma = gamma

    def anomaly(self, features: Tensor) -> Tensor:
        """−1/γ · log of the sum at features (b, d), (b,).

        In double precision: what is far from all points is far by different amounts.
        """
        squared = 2 - 2 * nn.functional.normalize(features.double(), dim=1) @ self.points.T
        return -torch.logsumexp(self.log_weights - self.gamma * squared, dim=1) / self.gamma


def density(features: Tensor) -> KernelSum:
    """The kernel density estimate, without its constant factor: a kernel on all features (n, d), of one weight."""
    points = nn.functional.normalize(features, dim=1)
    return KernelSum(points, torch.ones(len(points), device=points.device), _gamma(points))


def support(features: Tensor, nu: float, seed: int) -> KernelSum:
    """The one-class SVM that has at most a share ν of features (n, d) outside: kernels on its support vectors.

    Their sum is the classifier's decision but for its constant.
    """
    points = nn.functional.normalize(features, dim=1)
    gamma = _gamma(points)
    with global_generators_seeded(seed):  # libsvm draws from NumPy's
        fitted = OneClassSVM(kernel="rbf", nu=nu, gamma=gamma).fit(points.double().cpu().numpy())
    chosen = torch.from_numpy(fitted.support_).long().to(points.device)
    return KernelSum(points[chosen], torch.from_numpy(fitted.dual_coef_[0]).to(points.device), gamma)


def _gamma(points: Tensor) -> float:
    return SHARPNESS / max(float(points.var(correction=0)) * points.shape[1], TINY)


@dataclass(kw_only=True, eq=False)
class TwoStage(EncoderMethod):
    """A method that classifies the features of its encoder's body, of length 1; the head is for learning alone.

    - ``head_layers``, ``head_width``: hidden layers of the head.
    """

    head_layers: Whole = 8
    head_width: Count = 512

    @abstractmethod
    def classifier(self, features: Tensor) -> KernelSum:
        """Of the features (n, d) of training images."""

    def begin(self, context: FitContext) -> None:
        self.seed = context.seed

    def settle(self, images: Images) -> None:
        with torch.inference_mode():
            features = torch.cat([self.network.body(x) for x in self.each(images)])
        self.of_normal = self.classifier(features)

    def anomaly(self, x: Tensor) -> Tensor:
        return self.of_normal.anomaly(self.network.body(x))

    def perceptron(self, features: int, outputs: int) -> nn.Sequential:
        """A head: linear layers, with batch norm and ReLU between them."""
        layers: list[nn.Module] = []
        sizes = [features, *[self.head_width] * self.head_layers]
        for inputs, made in pairwise(sizes):
            layers += [nn.Linear(inputs, made, bias=False), nn.BatchNorm1d(made), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))
