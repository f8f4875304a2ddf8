"""The LeNet-type networks of Deep SVDD: one for grey 28×28 images, one for colour 32×32 images."""

from __future__ import annotations

from torch import Tensor, nn

SLOPE = 0.01


def _block(convolution: nn.Module, channels: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(channels, eps=1e-4, affine=False), nn.LeakyReLU(SLOPE)]


class LeNet(nn.Module):
    """Images (b, channels, size, size) → outputs (b, 32) for grey, (b, 128) for colour. Without biases: see Prop. 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths, self.outputs, side = ((8, 4), 32, 7) if channels == 1 else ((32, 64, 128), 128, 4)
        layers: list[nn.Module] = []
        for before, after in zip((channels, *widths), widths, strict=False):
            layers += [*_block(nn.Conv2d(before, after, 5, padding=2, bias=False), after), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.output = nn.Linear(widths[-1] * side * side, self.outputs, bias=False)
        if channels != 1:
            _xavier(self)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.features(x).flatten(1)
        output: Tensor = self.output(features)
        return output


class LeNetDecoder(nn.Module):
    """Outputs of the LeNet → images in (0, 1): the decoder of the pretraining."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        grey = channels == 1
        self.planes = 2 if grey else 8
        self.before = nn.Identity() if grey else nn.BatchNorm1d(128, eps=1e-4, affine=False)
        widths = [4, 8] if grey else [128, 64, 32]
        paddings = [2, 3, 2] if grey else [2, 2, 2, 2]
        layers: list[nn.Module] = [nn.LeakyReLU(SLOPE)]
        if grey:
            layers.append(nn.Upsample(scale_factor=2))
        inputs = self.planes
        for width, padding in zip(widths, paddings, strict=False):
            layers += _block(nn.ConvTranspose2d(inputs, width, 5, padding=padding, bias=False), width)
            layers.append(nn.Upsample(scale_factor=2))
            inputs = width
        layers += [nn.ConvTranspose2d(inputs, channels, 5, padding=paddings[-1], bias=False), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)
        if not grey:
            _xavier(self)

    def forward(self, outputs: Tensor) -> Tensor:
        image: Tensor = self.layers(self.before(outputs).view(len(outputs), self.planes, 4, 4))
        return image


def _xavier(network: nn.Module) -> None:
    gain = nn.init.calculate_gain("leaky_relu", SLOPE)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight, gain=gain)
