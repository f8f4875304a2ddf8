"""GOAD: features of transformed images that lie close to the centre of their transformation and far from the others'.

Bergman and Hoshen, Classification-based anomaly detection for general data, ICLR 2020, and the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from bench.images import resized, symmetric
from bench.method import Count, Epoch, FitContext, Images, NotNegative, Whole, method
from bench.methods._transform_prediction import TransformPrediction
from bench.methods._transforms import Transform, Transformer, combined
from bench.methods._wide_residual import WideResidual
from bench.training import Step, adam, autocast, batches, minimise, seeded, to_device, train

ITSELF = 1e6
"""Added to the squared distance to one's own centre, for the nearest to be another one."""


class Embedding(WideResidual):
    """Images → features (b, 64 · width), what the last layer, ``fc``, sees."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        features: Tensor = self.avgpool(nn.functional.relu(self.norm(x)))
        return features


@method(version="1", gpu_memory=2.0)
class GOAD(TransformPrediction):
    """Anomaly score: −Σ log P(m | T(x, m)) over the transforms, where P falls with the squared distance of the features
    to each transform's centre, which is their mean over the training images.

    - ``transforms``: 72: each of two mirrorings, nine moves by a quarter of the size, and four rotations; 36: without
      mirroring; 8: without moves. A score costs as many passes through the network.
    - ``batch_size``: images, each under all transforms; their own mean is the centre while they train.
    - ``margin``: s, by which the nearest other centre is to be farther away than one's own, in squared distance.
    - ``w_centre``, ``w_length``: weights of that loss, and of the features' mean square, beside the cross-entropy's 1.
    """

    transforms: Literal[8, 36, 72] = 72
    epochs: Whole = 16
    batch_size: Count = 4
    weight_decay: NotNegative = 0.0
    margin: NotNegative = 0.1
    w_centre: NotNegative = 0.1
    w_length: NotNegative = 10.0

    def transforms_used(self) -> tuple[Transform, ...]:
        return combined(self.image_size, mirrored=self.transforms != 36, moved=self.transforms != 8)

    def views(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.transformer.every(x)

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        self.transformer = Transformer(self.transforms_used(), self.image_size, context.device)
        with seeded(context):
            self.network = Embedding(images.shape[3], self.transforms, blocks=self.blocks, width=self.width)
        to_device(self.network, context)
        self.unsettled = images = resized(images, self.image_size)
        for epoch in train(
            self.network,
            self._step(context),
            images,
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=self.min_steps,
            prepare=symmetric,
            capturable=True,
        ):
            self.unsettled = images
            if epoch.number == epoch.total:
                self._settle_now()
            yield epoch
        self._settle_now()

    def _step(self, context: FitContext) -> Step:
        optimiser = adam(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            made, numbers = self.views(x)
            with autocast(context):
                features = self.network(made)
                logits = self.network.fc(features)
            features = features.float()
            entropy = nn.functional.cross_entropy(logits.float(), numbers)
            centred = triplet_centre(features.view(len(x), self.transforms, -1), self.margin)
            loss = entropy + self.w_centre * centred + self.w_length * features.square().mean()
            minimise(loss, optimiser)
            return {"cross_entropy": entropy, "triplet_centre": centred}

        return step

    def settle(self, images: Images) -> None:
        """Take each transform's centre over the training images."""
        total = torch.zeros(self.transforms, self.network.fc.in_features, dtype=torch.float64).to(self.device)
        with torch.inference_mode():
            for x in batches(images, self.at_once, device=self.device):
                total += self._features(x).to(total.dtype).sum(dim=0)
        self.centres = (total / len(images)).float()

    def _features(self, x: Tensor) -> Tensor:
        """Of each image (b, …) under each transform, (b, t, d)."""
        return self.network(self.views(x)[0]).float().view(len(x), self.transforms, -1)

    def log_probabilities(self, x: Tensor) -> Tensor:
        return nn.functional.log_softmax(-apart(self._features(x), self.centres), dim=2)

    def anomaly(self, log_p: Tensor) -> Tensor:
        return -log_p.diagonal(dim1=1, dim2=2).sum(dim=1)


def apart(features: Tensor, centres: Tensor) -> Tensor:
    """Squared distances of features (b, t, d) to centres (t, d), (b, t, t)."""
    return (features[:, :, None] - centres).square().sum(dim=3)


def triplet_centre(features: Tensor, margin: float) -> Tensor:
    """Mean of max(0, ‖z − c‖² + s − min ‖z − c'‖²) over features z of (b, t, d).

    c is the mean over the batch of the features under the same transform, c' that of those under any other.
    """
    squared = apart(features, features.mean(dim=0))
    own = squared.diagonal(dim1=1, dim2=2)
    others = squared + ITSELF * torch.eye(features.shape[1], device=features.device)
    return (own + margin - others.amin(dim=2)).clamp(min=0).mean()
