"""GEOM: a network learns which of 72 geometric transformations an image was given; Dirichlet densities of its answers.

Golan and El-Yaniv, Deep anomaly detection using geometric transformations, NeurIPS 2018, and the authors' code.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import polygamma, psi, xlogy
from torch import Tensor

from bench.method import Count, Images, Whole, method
from bench.methods._transform_prediction import TransformPrediction
from bench.methods._transforms import Transform, combined
from bench.training import batches

Numbers = NDArray[np.float64]


@method(version="1", gpu_memory=2.0)
class GEOM(TransformPrediction):
    """Anomaly score: −1/t · Σ log density of the network's answers under each transform, by a Dirichlet fitted to
    those for training images.

    - ``transforms``: 72: each of two mirrorings, nine moves by a quarter of the size, and four rotations; 36: without
      mirroring; 8: without moves. A score costs as many passes through the network.
    - ``epochs``: over all images under all transforms, ⌈200 / transforms⌉.
    - ``batch_size``: images under one transform each, which is drawn for it.
    """

    transforms: Literal[8, 36, 72] = 72
    epochs: Whole = 3
    batch_size: Count = 128

    def transforms_used(self) -> tuple[Transform, ...]:
        return combined(self.image_size, mirrored=self.transforms != 36, moved=self.transforms != 8)

    def views(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.transformer.drawn(x)

    def steps_at_least(self, images: int) -> int:
        a_pass = math.ceil(images / self.batch_size)
        return max(self.min_steps, self.epochs * self.transforms * a_pass)

    def settle(self, images: Images) -> None:
        """Fit a Dirichlet to the network's answers for training images under each transform (Algorithm 1)."""
        total = torch.zeros(2, self.transforms, self.transforms, dtype=torch.float64).to(self.device)
        with torch.inference_mode():
            for x in batches(images, self.at_once, device=self.device):
                log_p = self.log_probabilities(x).to(total.dtype)
                total += torch.stack([log_p.exp().sum(dim=0), log_p.sum(dim=0)])
        mean_p, mean_log_p = (total / len(images)).cpu().numpy()
        alpha = [dirichlet(*each) for each in zip(mean_p, mean_log_p, strict=True)]
        self.alpha = torch.tensor(np.array(alpha), dtype=torch.float32).to(self.device)
        """(t, t): the parameters for each transform."""

    def anomaly(self, log_p: Tensor) -> Tensor:
        """The normality score of section 4.1, with its sign turned; what is the same for all images is left out."""
        return -((self.alpha - 1) * log_p).sum(dim=2).mean(dim=1)


def dirichlet(mean_p: Numbers, mean_log_p: Numbers) -> Numbers:
    """Parameters of the Dirichlet that is the likeliest for answers p (k,), from the means of p and of log p.

    Minka, Estimating a Dirichlet distribution, 2000: eq. 9's fixed point; its start by Wicker et al. 2008, as in the
    authors' code.
    """
    spread = xlogy(mean_p, mean_p).sum() - (mean_p * mean_log_p).sum()
    alpha = mean_p * (len(mean_p) - 1) * -psi(1) / max(spread, TINY)
    for _ in range(MOST_STEPS):
        before, alpha = alpha, inverse_psi(psi(alpha.sum()) + mean_log_p)
        if not np.linalg.norm(alpha - before) > CLOSE:  # nor where it is no number
            break
    return alpha


def inverse_psi(y: Any) -> Numbers:
    """x with ψ(x) = y, by Newton's method (Minka, appendix C)."""
    x = np.where(y >= -2.22, np.exp(y) + 0.5, -1 / (y - psi(1)))
    for _ in range(5):
        x -= (psi(x) - y) / polygamma(1, x)
    return x


TINY, CLOSE, MOST_STEPS = 1e-12, 1e-9, 1000
