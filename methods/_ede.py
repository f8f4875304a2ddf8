"""Two encoder-decoder-encoder structures with shared encoders (Fig. 2 of the shared-autoencoder paper): their networks,
and how parts of a loss step parts of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.methods._autoencoder_networks import Decoder, Encoder

EDE1, EDE2, ALL = "e1 d1 e2", "e1 d2 e2", "e1 d1 e2 d2"
"""Networks by name, as ``Networks.weights`` takes them."""


class Networks(nn.Module):
    """E1, D1, E2 and, where there are two EDEs, D2, in that order."""

    def __init__(self, edes: int, encoder: Callable[[], Encoder], decoder: Callable[[], Decoder]) -> None:
        super().__init__()
        self.e1, self.d1, self.e2 = encoder(), decoder(), encoder()
        if edes == 2:
            self.d2 = decoder()

    def weights(self, names: str) -> list[nn.Parameter]:
        """The parameters of the networks that are named, as in ``e1 d2``."""
        return [weight for name in names.split() for weight in getattr(self, name).parameters()]

    def descend(self, optimiser: torch.optim.Optimizer, *parts: tuple[str, Tensor]) -> None:
        """One step of the optimiser on a loss of several parts, each of which reaches the networks that it names."""
        by_names: dict[str, Tensor] = {}
        for names, loss in parts:
            by_names[names] = by_names[names] + loss if names in by_names else loss
        optimiser.zero_grad()
        for number, (names, loss) in enumerate(by_names.items(), start=1):
            loss.backward(inputs=self.weights(names), retain_graph=number < len(by_names))
        optimiser.step()
