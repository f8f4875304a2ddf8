"""DROCC: a classifier of normal images against the points that it thinks most normal off the manifold around them.

Goyal et al., DROCC: deep robust one-class classification, ICML 2020, and the authors' code for CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.batchnorm import by_batch, norms
from bench.images import resized
from bench.method import Count, Epoch, EpochMethod, FitContext, Images, NotNegative, Positive, Scores, Whole, method
from bench.methods._channels import ChannelScaling, unit
from bench.methods._lenet import SLOPE
from bench.methods._milestones import falling
from bench.methods._pooled_blocks import SidesInEighths, pooled_blocks
from bench.training import adam, autocast, minimise, scored, seeded, to_device, train

PROJECTED = 10
"""Steps of the search after which its points are put back, as they are after the last one."""
TINY = 1e-12


@method(
    version="1",
    gpu_memory=1.0,
    published_used=("test labels: the best test epoch, and settings chosen for each normal class",),
)
class DROCC(EpochMethod):
    """Anomaly score: −f(x), the negated logit of being normal, after the last epoch.

    - ``radius``: r / √d of standardised images of d numbers. For CIFAR-10 the authors chose r for each class, from 8
      (0.14 · √d) to 40 (0.72 · √d); √d / 2 is ours; their notes name it for other data, as we remember them.
    - ``gamma``: the search is put back between the spheres of radius r and γ·r around an image.
    - ``mu``: μ, the weight of the points that were found.
    - ``ascent_steps``, ``ascent_size``: of the search, by normalised gradients.
    - ``epochs``, ``batch_size``, ``lr``: of the training with Adam; the rate falls to a tenth after 40 % and after 80 %
      of the epochs.
    - ``min_steps``: at least so many in all; where a class is small, an epoch goes over it several times.
    - ``width``: channels of the first layer; with 32 the network is the authors' for CIFAR-10.
    - ``image_size``: images are resized to it.
    """

    radius: Positive = 0.5
    gamma: Positive = 1.0
    mu: NotNegative = 1.0
    ascent_steps: Count = 50
    ascent_size: Positive = 1e-3
    epochs: Whole = 100
    min_steps: Whole = 0
    batch_size: Count = 256
    lr: Positive = 1e-3
    width: Count = 32
    image_size: SidesInEighths = 32

    resumable = True

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        images = resized(images, self.image_size)
        self.scaling = ChannelScaling(images, context.device)
        with seeded(context):
            self.network = network(images.shape[3], self.width, self.image_size)
        to_device(self.network, context)
        layers = norms(self.network)
        optimiser = adam(self.network.parameters(), lr=self.lr)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                normal = says(self.network(x), 1.0)
                with by_batch(layers):  # what is found is another kind of input than what is scored
                    found = says(self.network(self.searched(x)), 0.0)
            loss = normal + self.mu * found  # eq. 1
            minimise(loss, optimiser)
            return {"normal": normal, "found": found}

        training = train(
            self.network,
            step,
            images,
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=self.min_steps,
            prepare=self.prepared,
            capturable=True,
        )
        yield from falling(training, optimiser, [int(0.4 * self.epochs), int(0.8 * self.epochs)])

    def score(self, images: Images) -> Scores:
        sized = resized(images, self.image_size)
        return scored(lambda x: -self.network(x)[:, 0], sized, device=self.device, prepare=self.prepared)

    def prepared(self, batch: Tensor) -> Tensor:
        """uint8 images, each channel by its mean and deviation over the training images."""
        return self.scaling(unit(batch))

    def searched(self, x: Tensor) -> Tensor:
        """Of each image (b, …) the point of N(r) around it that the network takes most for normal, as far as gradient
        ascent finds it from a random start (Algorithm 1)."""
        found = x + torch.randn_like(x)
        for number in range(1, self.ascent_steps + 1):
            found = found.detach().requires_grad_()
            (slope,) = torch.autograd.grad(says(self.network(found), 0.0), found)
            found = found.detach() + self.ascent_size * slope / length(slope)
            if number % PROJECTED == 0 or number == self.ascent_steps:
                found = self.put_back(found, x)
        return found.detach()

    def put_back(self, found: Tensor, x: Tensor) -> Tensor:
        """The points at their distance to the images, if that is within [r, γ·r], or else at the nearer end of it."""
        radius = self.radius * x[0].numel() ** 0.5
        away = found - x
        distance = length(away)
        return x + away * distance.clamp(radius, max(self.gamma, 1.0) * radius) / distance


def says(logits: Tensor, normal: float) -> Tensor:
    """ℓ: mean binary cross-entropy of logits (b, 1) where all are normal (1) or none is (0)."""
    return nn.functional.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits.float(), normal))


def length(x: Tensor) -> Tensor:
    """‖x‖ of each image, (b, 1, 1, 1)."""
    return x.square().sum(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=TINY)


def network(channels: int, width: int, image_size: int) -> nn.Sequential:
    """Images (b, channels, image_size, image_size) → logits (b, 1). Without biases."""
    inputs = 4 * width * (image_size // 8) ** 2
    return nn.Sequential(
        *pooled_blocks(channels, (width, 2 * width, 4 * width), kernel=5, bias=False),
        nn.Flatten(),
        *(nn.Linear(inputs, 4 * width, bias=False), nn.LeakyReLU(SLOPE)),
        *(nn.Linear(4 * width, 2 * width, bias=False), nn.LeakyReLU(SLOPE)),
        nn.Linear(2 * width, 1, bias=False),
    )
