"""What networks of DCGAN's kind share: the layers between an image and a vector, and the initial weights."""

from __future__ import annotations

from torch import Tensor, nn


class ToVector(nn.Conv2d):
    """A convolution whose kernel covers all that is left of the image: (b, inputs, size, size) → (b, outputs, 1, 1).

    Computed as the one matrix product that it is, which is several times faster than a general convolution.
    """

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__(inputs, outputs, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # channels last in both, so that neither is copied
        rows, weight = x.permute(0, 2, 3, 1).flatten(1), self.weight.permute(0, 2, 3, 1).flatten(1)
        return nn.functional.linear(rows, weight)[:, :, None, None]


class FromVector(nn.ConvTranspose2d):
    """Its transpose: (b, inputs, 1, 1) → (b, outputs, size, size)."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__(inputs, outputs, size, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        product = x.flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1)
        return product.unflatten(1, (*self.kernel_size, self.out_channels)).permute(0, 3, 1, 2)


def initialise(network: nn.Module) -> None:
    """Draw convolutions from N(0, 0.02) and batch-norm scales from N(1, 0.02)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)
