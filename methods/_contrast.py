"""Contrastive learning: two views of an image are alike and those of others are not; and the descent that goes with it.

Chen et al., A simple framework for contrastive learning of visual representations (SimCLR), ICML 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bench.checkpoints import remember

MOMENTUM = 0.9


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """The contrastive loss of two views (n, d) each of n instances, by cosines; SimCLR's eq. 1, over all 2n views."""
    z = nn.functional.normalize(torch.cat([first, second]), dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    others = torch.arange(len(z), device=z.device).roll(len(first))
    return nn.functional.cross_entropy(logits, others)


def sgd(parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float, trust: float = 0.0) -> torch.optim.SGD:
    """Gradient descent with momentum, whose rate is a tensor, as that of ``bench.training.adam``.

    ``trust``: of LARS (You, Gitman and Ginsburg, Large batch training of convolutional networks, 2017, Algorithm 1):
    each layer's gradient is brought to that share of its weights' length; 0: as it is.
    """
    weights = list(parameters)
    place = weights[0].device
    optimiser = torch.optim.SGD(
        weights,
        lr=lr,
        momentum=MOMENTUM,
        weight_decay=0.0 if trust else weight_decay,
        fused=place.type in ("cpu", "cuda"),
    )
    for group in optimiser.param_groups:  # only now: the constructor would read it back
        group["lr"] = torch.tensor(lr, device=place)
    if trust:
        optimiser.register_step_pre_hook(lambda *_: _to_length(weights, weight_decay, trust))
    return remember(optimiser)


def cosine(number: Tensor, epochs: int, warm_up: int = 0) -> Tensor:
    """The share of the rate in an epoch: rising over the first ``warm_up`` ones, and falling to 0 by half a cosine."""
    falling = (1 + torch.cos(math.pi * (number - 1) / epochs)) / 2
    return falling * (number / warm_up).clamp(max=1) if warm_up else falling


@torch.no_grad()
def _to_length(weights: Iterable[nn.Parameter], weight_decay: float, trust: float) -> None:
    for weight in weights:
        if weight.grad is not None:
            length, slope = torch.linalg.vector_norm(weight), torch.linalg.vector_norm(weight.grad)
            ratio = trust * length / (slope + weight_decay * length)
            weight.grad.add_(weight, alpha=weight_decay).mul_(torch.where((length > 0) & (slope > 0), ratio, 1.0))
