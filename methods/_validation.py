"""Ending with the epoch that is best for images which training did not see: normal ones, so that no label is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from bench.checkpoints import remember
from bench.method import FitContext, Images
from bench.randomness import derive_seed


def held_out(images: Images, share: float, context: FitContext) -> tuple[Images, Images]:
    """The images to train on, and the share of them that training shall not see, at least one of each; drawn by the
    seed."""
    order = np.random.default_rng(derive_seed(context.seed, "validation")).permutation(len(images))
    count = min(max(1, round(share * len(images))), len(images) - 1)
    return images[np.sort(order[count:])], images[np.sort(order[:count])]


class BestEpoch:
    """Keeps the weights and buffers of networks as they were at the lowest error that it was shown."""

    def __init__(self, networks: nn.Module) -> None:
        self._networks = networks
        self._lowest = math.inf
        self._state: dict[str, Tensor] = {}
        remember(self)

    def show(self, error: float) -> None:
        """The error of the networks as they are now."""
        if error < self._lowest:
            self._lowest = error
            self._state = {name: value.clone() for name, value in self._networks.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self._lowest, "state": self._state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._lowest, self._state = state["lowest"], dict(state["state"])

    def restore(self) -> None:
        """Give the networks what was kept; where no error was a number, they stay as they are."""
        if self._state:
            self._networks.load_state_dict(self._state)
