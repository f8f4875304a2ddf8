"""Batch normalisation: what scores is the network that was trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_hook

from bench.method import EpochMethod
from bench.randomness import global_generators_seeded
from bench.testing.checks.training import same_seed_same_scores
from bench.testing.images import lit
from bench.testing.promise import ConformanceError, NotApplicable, check
from bench.testing.subject import SEED, Subject, scores

IMAGES = lit(0, 512, 1)
ENOUGH = 100
"""Images whose own mean and deviation are taken seriously."""
FAR = 0.5
"""How far running statistics may be from the images' own, in deviations: a blend of kinds is several away."""


@check(same_seed_same_scores)
def normalised_as_in_training(subject: Subject) -> None:
    """Running statistics with which batch norms score training images are these images' own, as in training."""
    method = subject.new()
    if not isinstance(method, EpochMethod):
        raise NotApplicable("it is no EpochMethod")
    images = np.array(IMAGES)
    with global_generators_seeded(SEED), ExitStack() as last:
        for epoch in method.fit_epochs(images, subject.context()):
            if epoch.number == epoch.total - 1:
                last.enter_context(_weights_frozen())  # for running statistics to catch up with them
    modules = [value for value in vars(method).values() if isinstance(value, nn.Module)]
    if not any(isinstance(part, _BatchNorm) for each in modules for part in each.modules()):
        raise NotApplicable("it holds no batch normalisation")
    with _compared() as gaps:
        scores(method, images)
    if (gap := max(gaps, default=0.0)) > FAR:
        raise ConformanceError(
            f"what a batch norm meets in scoring training images lies {gap:.1f} deviations from its running mean; "
            "where one layer meets several kinds of input in training, its running statistics are a blend that fits "
            "none: take them for each kind, as bench.batchnorm.PassStatistics does"
        )


@contextmanager
def _compared() -> Iterator[list[float]]:
    """A block in which layers normalise by the batch, and how far each running mean was from the batch's.

    By the batch, so that a gap of one layer is not also one of those behind it.
    """
    gaps: list[float] = []

    def by_batch(norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Any:
        if not isinstance(norm, _BatchNorm) or norm.training or len(inputs[0]) < ENOUGH:
            return None
        if norm.running_mean is None or norm.running_var is None:
            return None
        x = inputs[0].float()
        variance, mean = torch.var_mean(x.detach(), dim=[d for d in range(x.dim()) if d != 1])
        wider = torch.maximum(variance, norm.running_var) + norm.eps
        gaps.append(float(((mean - norm.running_mean).abs() / wider.sqrt()).mean()))
        return nn.functional.batch_norm(x, mean, variance, norm.weight, norm.bias, eps=norm.eps).to(output.dtype)

    handle = register_module_forward_hook(by_batch)
    try:
        yield gaps
    finally:
        handle.remove()


@contextmanager
def _weights_frozen() -> Iterator[None]:
    """A block in which no optimiser of torch's changes a weight."""
    kinds = [kind for kind in vars(torch.optim).values() if isinstance(kind, type) and "step" in vars(kind)]
    steps: list[tuple[Any, Any]] = [(kind, vars(kind)["step"]) for kind in kinds]
    try:
        for kind, _ in steps:
            kind.step = lambda self, *_, **__: None
        yield
    finally:
        for kind, step in steps:
            kind.step = step
