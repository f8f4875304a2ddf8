"""The contract of a method: a one-class detector that is fitted on normal images and scores any image.

The smallest plugin, a file ``methods/mean_image.py``::

    from bench.method import Method, method

    @method(version="1")
    class MeanImage(Method):
        \"\"\"Squared distance to the mean training image.\"\"\"

        def fit(self, images, context):
            self.mean = images.mean(axis=0)
            return self

        def score(self, images):
            return ((images - self.mean) ** 2).mean(axis=(1, 2, 3))
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
"""(n, height, width, channels), channels 1 or 3."""

Scores = NDArray[np.floating[Any]]
"""(n,), larger = more anomalous."""

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Epoch:
    """One finished epoch of training: its number from 1, how many there will be, and its mean losses by name."""

    number: int
    total: int
    losses: Mapping[str, float] = field(default_factory=dict)
    scorable: bool = True
    """Whether the method can score now; not while it is being pretrained."""

    @property
    def finite(self) -> bool:
        """Whether every loss is a finite number."""
        return all(math.isfinite(loss) for loss in self.losses.values())


def ignore_epoch(epoch: Epoch) -> None:
    """The epoch callback of a caller who does not want to be told."""


@dataclass(frozen=True)
class FitContext:
    """What the harness gives to ``fit``: where to compute, from which seed, and whom to tell about epochs."""

    seed: int
    device: str = "cpu"
    precision: Precision = "fp32"
    on_epoch: Callable[[Epoch], None] = ignore_epoch


class Method(ABC):
    """A one-class detector. The constructor only stores hyperparameters, which are the fields of the class.

    ``version`` is part of every job's key: change it when the method's numbers change.
    ``timeout`` is how many seconds a job of this method may take where nobody says otherwise.
    """

    declared_as: ClassVar[str]
    version: ClassVar[str]
    timeout: ClassVar[float | None] = None

    @abstractmethod
    def fit(self, images: Images, context: FitContext) -> Self:
        """Learn from normal images, uint8 (n, height, width, channels); returns the method itself."""

    @abstractmethod
    def score(self, images: Images) -> Scores:
        """Anomaly scores, float (n,), larger = more anomalous.

        A score depends on its own image and on the fitted model alone, never on the other images in the call.
        """


class EpochMethod(Method):
    """A method that trains in epochs and hands control back after each.

    The harness drives ``fit_epochs`` and so owns progress, time limits, and the optional trace of the test AUROC
    that the method itself can never see. ``score`` must work after any epoch that is ``scorable``.
    """

    @abstractmethod
    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        """Train, yielding after every epoch; the method can be scored whenever it has yielded."""

    def fit(self, images: Images, context: FitContext) -> Self:
        for epoch in self.fit_epochs(images, context):
            context.on_epoch(epoch)
        return self


M = TypeVar("M", bound=Method)


@dataclass_transform(kw_only_default=True, eq_default=False)
def method(*, version: str, timeout: float | None = None) -> Callable[[type[M]], type[M]]:
    """Declare a class as the method of its file: its fields become hyperparameters of the spec."""

    def declare(cls: type[M]) -> type[M]:
        if not (isinstance(cls, type) and issubclass(cls, Method)):
            raise TypeError(f"@method is for subclasses of bench.method.Method; {cls!r} is none")
        declared = dataclass(kw_only=True, eq=False)(cls)
        declared.declared_as = "method"
        declared.version = version
        declared.timeout = timeout
        return declared

    return declare
