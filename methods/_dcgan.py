"""DCGAN's initial weights, which the adversarial methods start from."""

from __future__ import annotations

from torch import nn


def initialise(network: nn.Module) -> None:
    """Draw convolutions from N(0, 0.02) and batch-norm scales from N(1, 0.02)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)
