"""Wasserstein GAN with gradient penalty: the losses of a critic and of what it judges, images or latent vectors.

Gulrajani et al., Improved training of Wasserstein GANs, NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.method import FitContext
from bench.training import autocast

Critic = Callable[[Tensor], Tensor]
"""How real each of (b, …) is, (b,). Without batch normalisation: the penalty is of each by itself."""


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Mean of (‖∇ critic‖₂ − 1)² at one point on the line between each real one and its fake one, drawn uniformly.

    Differentiable with respect to the critic's weights, and to nothing else.
    """
    share = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    between = torch.lerp(real.detach(), fake.detach().to(real.dtype), share).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    # the root's own gradient is infinite at 0
    norm = gradient.flatten(1).square().sum(dim=1).add(1e-12).sqrt()
    return (norm - 1).square().mean()


def critic_loss(
    critic: Critic, real: Tensor, fake: Tensor, *, penalty: float, context: FitContext, drift: float = 0.0
) -> Tensor:
    """What the critic minimises: E[critic(fake)] − E[critic(real)] + penalty · the gradient penalty (eq. 3).

    ``drift`` weighs the mean squares of both judgements, which hold them to 0. The gradient penalty is computed in 32
    bits always: gradients of gradients lose too much in 16.
    """
    with autocast(context):  # each by itself, for a critic that looks at a batch
        judged_real, judged_fake = critic(real).float(), critic(fake.detach().to(real.dtype)).float()
    held = drift * (judged_real.square().mean() + judged_fake.square().mean())
    return judged_fake.mean() - judged_real.mean() + held + penalty * gradient_penalty(critic, real, fake)


def generator_loss(critic: Critic, fake: Tensor) -> Tensor:
    """What the maker of the fake ones minimises: −E[critic(fake)]."""
    return -critic(fake).float().mean()


def share(x: Tensor, number: int, size: int) -> Tensor:
    """So many images of a batch, others for each number; where it has fewer, they are taken again."""
    return x[torch.arange(number * size, (number + 1) * size, device=x.device) % len(x)]
