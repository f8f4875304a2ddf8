"""A rate that falls to a tenth after some of the epochs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import torch

from bench.method import Epoch


def falling(epochs: Iterable[Epoch], optimiser: torch.optim.Optimizer, milestones: Collection[int]) -> Iterator[Epoch]:
    """The epochs of a training, after those of the given numbers with a tenth of the rate, which is a tensor."""
    for epoch in epochs:
        yield epoch
        if epoch.number in milestones:
            for group in optimiser.param_groups:
                group["lr"] *= 0.1  # in place: a graph of the step reads it
