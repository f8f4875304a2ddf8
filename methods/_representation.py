"""What the methods share that learn a representation of normal images without labels: training, and encoders for it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from torch import Tensor, nn
from torchvision.models import resnet18

from bench.images import resized
from bench.method import Count, Epoch, EpochMethod, FitContext, Images, NotNegative, Positive, Scores, Whole
from bench.methods._transform_prediction import SidesInQuarters
from bench.methods._wide_residual import MeanPool, WideResidual
from bench.training import SCORED_AT_ONCE, Step, batches, scored, seeded, to_device, train

Network = TypeVar("Network", bound=nn.Module)

Body = Literal["resnet18", "wrn"]


@dataclass(kw_only=True, eq=False)
class Representation(EpochMethod, Generic[Network]):
    """A method whose ``network`` learns from normal images, and that scores by what it makes of an image.

    - ``epochs``, ``batch_size``, ``lr``, ``weight_decay``: of the training.
    - ``min_steps``: at least so many in all; where a class is small, an epoch goes over it several times.
    - ``image_size``: images are resized to it, to squares, whatever shape they had.
    """

    epochs: Whole
    min_steps: Whole = 0
    batch_size: Count
    lr: Positive
    weight_decay: NotNegative
    image_size: SidesInQuarters = 32

    resumable = True

    @abstractmethod
    def build(self, channels: int) -> Network:
        """All that is trained, for images of so many channels."""

    @abstractmethod
    def learning(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        """The training of the network that was built, on sized images."""

    @abstractmethod
    def anomaly(self, x: Tensor) -> Tensor:
        """Scores (b,) of a prepared batch (b, channels, image_size, image_size)."""

    def begin(self, context: FitContext) -> None:
        """Make what training and scoring need beside the network."""

    def settle(self, images: Images) -> None:
        """Take from the sized training images what scoring needs beside the network, before it scores."""

    def trained(self, step: Step, images: Images, context: FitContext) -> Iterator[Epoch]:
        """The training by a step that may be captured."""
        return train(
            self.network,
            step,
            images,
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            min_steps=self.min_steps,
            capturable=True,
        )

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        with seeded(context):
            self.network: Network = self.build(images.shape[3])
        to_device(self.network, context)
        self.begin(context)
        self.unsettled: Images | None
        self.unsettled = images = resized(images, self.image_size)
        for epoch in self.learning(images, context):
            self.unsettled = images
            if epoch.number == epoch.total:
                self._settle_now()
            yield epoch
        self._settle_now()

    def _settle_now(self) -> None:
        images, self.unsettled = self.unsettled, None
        if images is not None:
            self.network.eval()
            self.settle(images)

    def score(self, images: Images) -> Scores:
        self._settle_now()
        return scored(self.anomaly, resized(images, self.image_size), device=self.device, batch_size=self.at_once)

    @property
    def views(self) -> int:
        """How many times the network looks at an image to score it."""
        return 1

    @property
    def at_once(self) -> int:
        """Images whose views are as many as are scored at a time."""
        return max(1, SCORED_AT_ONCE // self.views)

    def each(self, images: Images) -> Iterator[Tensor]:
        """Prepared batches of sized images, in order."""
        return batches(images, self.at_once, device=self.device)


class Encoder(nn.Module):
    """``body``: images → features (b, d); ``heads``: by their names, what is made of features.

    The body is a ResNet-18 for small images (its first convolution is 3×3, and no pooling follows it), with 512
    features, or a WRN-10-k with 64k.
    """

    def __init__(self, channels: int, body: Body, k: int, heads: Callable[[int], dict[str, nn.Module]]) -> None:
        super().__init__()
        self.body: nn.Module
        if body == "wrn":
            self.body, features = WideResidual(channels, 1, blocks=1, width=k), 64 * k
        else:
            self.body, features = resnet18(), 512
            self.body.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
            self.body.maxpool = nn.Identity()
            self.body.avgpool = MeanPool()
        self.body.fc = nn.Identity()
        self.heads = nn.ModuleDict(heads(features))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """What each head makes of a batch of images."""
        features = self.body(x)
        return {name: head(features) for name, head in self.heads.items()}


@dataclass(kw_only=True, eq=False)
class EncoderMethod(Representation[Encoder]):
    """A method whose network is an ``Encoder``.

    - ``body``: of it, ``resnet18`` or ``wrn``: a WRN-10-k with k = ``width``.
    """

    body: Body = "resnet18"
    width: Count = 4

    @abstractmethod
    def heads(self, features: int) -> dict[str, nn.Module]:
        """The heads, on so many features."""

    def build(self, channels: int) -> Encoder:
        return Encoder(channels, self.body, self.width, self.heads)
