"""Learning from normal images which transformation each was given: what rotnet and geom share, and features by it.

Golan and El-Yaniv, Deep anomaly detection using geometric transformations, NeurIPS 2018; settings of the authors' code.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, MultipleOf
from torch import Tensor, nn

from bench.images import resized, symmetric
from bench.method import Count, Epoch, EpochMethod, FitContext, Images, NotNegative, Positive, Scores, Whole
from bench.methods._transforms import Transform, Transformer
from bench.methods._wide_residual import WideResidual
from bench.training import SCORED_AT_ONCE, adam, autocast, minimise, scored, seeded, to_device, train

Views = Callable[[Tensor], tuple[Tensor, Tensor]]
"""What a network learns from: images (b, …) → transformed ones and the numbers of their transforms."""

WEIGHT_DECAY = 5e-4
"""The authors add 2.5e-4 · ‖w‖² to the loss, whose gradient is this times w."""

SidesInQuarters = Annotated[int, Ge(8), MultipleOf(4)]


def predicting(
    network: nn.Module,
    views: Views,
    images: Images,
    context: FitContext,
    *,
    epochs: int,
    min_steps: int,
    batch_size: int,
    lr: float,
    weight_decay: float,
) -> Iterator[Epoch]:
    """Train a network to tell the transforms of sized images apart, by cross-entropy; the epochs of that."""
    optimiser = adam(network.parameters(), lr=lr, weight_decay=weight_decay)

    def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
        made, numbers = views(x)
        with autocast(context):
            logits = network(made)
        loss = nn.functional.cross_entropy(logits.float(), numbers)
        minimise(loss, optimiser)
        return {"cross_entropy": loss}

    return train(
        network,
        step,
        images,
        epochs=epochs,
        batch_size=batch_size,
        context=context,
        min_steps=min_steps,
        prepare=symmetric,
        capturable=True,
    )


@dataclass(kw_only=True, eq=False)
class TransformPrediction(EpochMethod):
    """A method that scores by how well a wide residual network tells which transformation an image was given.

    - ``epochs``, ``batch_size``, ``lr``, ``weight_decay``: of the training with Adam.
    - ``min_steps``: at least so many in all; where a class is small, an epoch goes over it several times.
    - ``blocks``, ``width``: of the network: WRN-n-k has n = 6 · blocks + 4 layers and k = width.
    - ``image_size``: images are resized to it, to squares, whatever shape they had.
    """

    epochs: Whole
    min_steps: Whole = 0
    batch_size: Count
    lr: Positive = 1e-3
    weight_decay: NotNegative = WEIGHT_DECAY
    blocks: Count = 1
    width: Count = 4
    image_size: SidesInQuarters = 32

    resumable = True

    @abstractmethod
    def transforms_used(self) -> tuple[Transform, ...]:
        """The transforms that the network tells apart."""

    @abstractmethod
    def views(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What a training step makes of a batch; see ``Views``."""

    @abstractmethod
    def anomaly(self, log_p: Tensor) -> Tensor:
        """Scores (b,) from the log-probabilities (b, t, t) of each image under each transform."""

    def steps_at_least(self, images: int) -> int:
        """Training steps to take for so many images, where their epochs would have fewer."""
        return self.min_steps

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        transforms = self.transforms_used()
        self.transformer = Transformer(transforms, self.image_size, context.device)
        with seeded(context):
            self.network = WideResidual(images.shape[3], len(transforms), blocks=self.blocks, width=self.width)
        to_device(self.network, context)
        self.unsettled: Images | None
        self.unsettled = images = resized(images, self.image_size)
        for epoch in predicting(
            self.network,
            self.views,
            images,
            context,
            epochs=self.epochs,
            min_steps=self.steps_at_least(len(images)),
            batch_size=self.batch_size,
            lr=self.lr,
            weight_decay=self.weight_decay,
        ):
            self.unsettled = images
            if epoch.number == epoch.total:
                self._settle_now()
            yield epoch
        self._settle_now()

    def settle(self, images: Images) -> None:
        """Take from the sized training images what scoring needs beside the network, before it scores."""

    def _settle_now(self) -> None:
        images, self.unsettled = self.unsettled, None
        if images is not None:
            self.settle(images)

    def score(self, images: Images) -> Scores:
        self._settle_now()
        return scored(
            lambda x: self.anomaly(self.log_probabilities(x)),
            resized(images, self.image_size),
            device=self.device,
            batch_size=self.at_once,
        )

    @property
    def at_once(self) -> int:
        """Images whose views are as many as are scored at a time."""
        return max(1, SCORED_AT_ONCE // len(self.transformer.sources))

    def log_probabilities(self, x: Tensor) -> Tensor:
        """Of each image (b, …) under each transform, that of each transform, (b, t, t): the last is the one asked."""
        made, _ = self.transformer.every(x)
        count = len(self.transformer.sources)
        return nn.functional.log_softmax(self.network(made).float(), dim=1).view(-1, count, count)
