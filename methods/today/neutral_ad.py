"""NeuTraL AD: transformations are learnt, for views of an image that are like it and unlike each other.

Qiu et al., Neural transformation learning for deep anomaly detection beyond images, ICML 2021. The paper has time
series and tables; settings for images are those of the authors' configuration files, networks are the paper's for time
series in two dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from bench.method import Count, Epoch, FitContext, Images, NotNegative, Positive, Whole, method
from bench.methods._representation import Representation
from bench.training import adam, autocast, minimise

Form = Literal["forward", "residual", "multiplied"]


@method(version="1", gpu_memory=4.0)
class NeuTraLAD(Representation["Views"]):
    """Anomaly score: the deterministic contrastive loss of the image itself (eq. 2).

    - ``transformations``: how many are learnt.
    - ``form``: of M(x) a transformation is M(x), M(x) + x, or σ(M(x)) ⊙ x.
    - ``epochs``, ``halved_every``: with a rate that is halved every so many.
    - ``width``: channels of the transformations, and of the encoder's first layer.
    - ``dimension``: of the space that views are compared in.
    - ``temperature``: τ of eq. 1.
    """

    transformations: Count = 9
    form: Form = "forward"
    epochs: Whole = 20
    halved_every: Count = 10
    batch_size: Count = 500
    lr: Positive = 1e-3
    weight_decay: NotNegative = 1e-5
    width: Count = 16
    dimension: Count = 64
    temperature: Positive = 0.1

    def build(self, channels: int) -> Views:
        return Views(channels, self.image_size, self.transformations, self.form, self.width, self.dimension)

    def learning(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        optimiser = adam(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            optimiser.param_groups[0]["lr"].copy_(self.lr * 0.5 ** ((n - 1) / self.halved_every).floor())
            with autocast(context):
                z = self.network(x)
            loss = dcl(z.float(), self.temperature).mean()
            minimise(loss, optimiser)
            return {"contrast": loss}

        return self.trained(step, images, context)

    def anomaly(self, x: Tensor) -> Tensor:
        return dcl(self.network(x), self.temperature)

    @property
    def views(self) -> int:
        return 1 + self.transformations


def dcl(z: Tensor, temperature: float) -> Tensor:
    """The deterministic contrastive loss (b,) of each image's representation and those of its views, (b, 1 + k, d).

    Eq. 2: −Σ over views k of log h(xₖ, x) / (h(xₖ, x) + Σ over the others l of h(xₖ, xₗ)), where (eq. 1) h is
    exp(cos / τ).
    """
    z = nn.functional.normalize(z, dim=2)
    log_h = z[:, 1:] @ z.mT / temperature
    itself = torch.eye(z.shape[1], dtype=torch.bool, device=z.device)[1:]
    log_h = log_h.masked_fill(itself, -torch.inf)
    return (log_h.logsumexp(dim=2) - log_h[:, :, 0]).sum(dim=1)


class Residual(nn.Module):
    """x + two convolutions of it, normalised image by image; ``halving``: of half the size, with twice the channels.

    Nothing has a bias, nor a scale of its own: else views could be constants that are unlike each other (section 3.3).
    """

    def __init__(self, width: int, *, halving: bool = False) -> None:
        super().__init__()
        made, stride = (2 * width, 2) if halving else (width, 1)
        # averages first: with few channels, a CPU's convolution of 1×1 and stride 2 writes beyond its gradient's memory
        halved = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(width, made, 1, bias=False))
        self.past = halved if halving else nn.Identity()
        self.convolutions = nn.Sequential(
            nn.InstanceNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, made, 3, stride, padding=1, bias=False),
            nn.InstanceNorm2d(made),
            nn.ReLU(),
            nn.Conv2d(made, made, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.past(x) + self.convolutions(x)
        return made


class Views(nn.Module):
    """Images (b, channels, size, size) → their representations, and those of their views, (b, 1 + k, dimension)."""

    def __init__(self, channels: int, size: int, transformations: int, form: Form, width: int, dimension: int) -> None:
        super().__init__()
        self.form = form
        self.transformations = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                Residual(width),
                nn.Conv2d(width, channels, 3, padding=1, bias=False),
            )
            for _ in range(transformations)
        )
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            Residual(width, halving=True),
            Residual(2 * width, halving=True),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * width * (size // 4) ** 2, dimension, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        views = torch.cat([x, *(self.transformed(x, each) for each in self.transformations)])
        z: Tensor = self.encoder(views)
        return z.unflatten(0, (-1, len(x))).transpose(0, 1)

    def transformed(self, x: Tensor, m: nn.Module) -> Tensor:
        made: Tensor = m(x)
        if self.form == "multiplied":
            return made.sigmoid() * x
        return made + x if self.form == "residual" else made
