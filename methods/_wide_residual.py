"""Small wide residual networks, WRN-n-k: activations before convolutions, batch norm, three groups of blocks.

Zagoruyko and Komodakis, Wide residual networks, BMVC 2016; weights at the start as in Golan and El-Yaniv's code.
"""

from __future__ import annotations

from torch import Tensor, nn


class MeanPool(nn.Module):
    """The mean over the positions, (b, channels, height, width) → (b, channels).

    Unlike torch's adaptive pooling, it has a gradient on GPUs that is the same each time.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


class Block(nn.Module):
    """x + two convolutions of it; where the shape changes, x itself comes through a convolution of single pixels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.past = _conv(inputs, outputs, 1, stride) if (inputs, stride) != (outputs, 1) else None
        self.convolutions = nn.Sequential(
            _conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs), nn.ReLU(), _conv(outputs, outputs, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        active = nn.functional.relu(self.norm(x))
        made: Tensor = self.convolutions(active) + (x if self.past is None else self.past(active))
        return made


class WideResidual(nn.Module):
    """Images (b, channels, size, size) → logits (b, outputs).

    WRN-n-k has n = 6 · ``blocks`` + 4 layers and k = ``width``. ``layer1``, ``layer2``, ``layer3`` have 16k channels of
    the images' size, 32k of half of it, 64k of a quarter; what ``avgpool`` returns is their mean that the last layer
    sees. The names are those of torchvision's residual networks.
    """

    def __init__(self, channels: int, outputs: int, *, blocks: int, width: int) -> None:
        super().__init__()
        at = [16, 16 * width, 32 * width, 64 * width]
        self.conv1 = _conv(channels, at[0], 3)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(inputs, made, stride), *(Block(made, made, 1) for _ in range(blocks - 1)))
            for inputs, made, stride in zip(at, at[1:], (1, 2, 2), strict=False)
        )
        self.norm = nn.BatchNorm2d(at[-1])
        self.avgpool = MeanPool()
        self.fc = nn.Linear(at[-1], outputs)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        logits: Tensor = self.fc(self.avgpool(nn.functional.relu(self.norm(x))))
        return logits
