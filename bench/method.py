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

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.specs import Value

Images = NDArray[np.uint8]
"""(n, height, width, channels), channels 1 or 3."""

Scores = NDArray[np.floating[Any]]
"""(n,), larger = more anomalous."""

Maps = NDArray[np.floating[Any]]
"""(n, height, width), larger = more anomalous."""

Whole = Annotated[int, Ge(0)]
Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Part = Annotated[float, Ge(0), Le(1)]
Share = Annotated[float, Gt(0), Lt(1)]
BelowOne = Annotated[float, Ge(0), Lt(1)]
"""Types of hyperparameters with the range that makes sense: whatever lies outside is refused before any job starts. Any
other range is declared likewise, with annotated-types."""

Precision = Literal["fp32", "tf32", "bf16"]
"""How exactly networks compute: in 32 bits; with the factors of products rounded to 10 bits of mantissa, as GPUs can;
or their forward passes in 16 bits."""


@dataclass(frozen=True)
class Epoch:
    """One finished epoch of training: its number from 1, how many there will be, and its mean losses by name."""

    number: int
    total: int
    losses: Mapping[str, float] = field(default_factory=dict)
    scorable: bool = True
    """Whether the method can score now; not while it is being pretrained."""
    steps: int = 0
    """How many training steps it took, where that is known."""
    captured: bool = False
    """Whether these ran as a CUDA graph."""
    repeated: bool = False
    """Whether an earlier run of this training had come to its end: it was not done again, only handed out."""

    @property
    def finite(self) -> bool:
        """Whether every loss is a finite number."""
        return all(math.isfinite(loss) for loss in self.losses.values())


def ignore_epoch(epoch: Epoch) -> None:
    """The epoch callback of a caller who does not want to be told."""


@dataclass(frozen=True)
class FitContext:
    """What the harness gives to ``fit``: where to compute, from which seed, and whom to tell about epochs.

    ``device`` is a string that torch knows: ``cpu`` or ``cuda:0``. ``graphs``: whether a training step may be captured
    as a CUDA graph, which changes nothing but the time.
    """

    seed: int
    device: str = "cpu"
    precision: Precision = "fp32"
    graphs: bool = True
    on_epoch: Callable[[Epoch], None] = ignore_epoch


class Method(ABC):
    """A one-class detector. The constructor only stores hyperparameters, which are the fields of the class.

    ``version`` is part of every job's key: change it when the method's numbers change.
    ``timeout`` is how many seconds a job of this method may take, and ``memory`` how many GB its worker may hold, where
    nobody says otherwise. ``gpu_memory`` is how many GB of a GPU a job of the default hyperparameters needs, for as
    long as no record tells. ``cpu_only``: the method computes on the processor, so that its jobs hold no GPU.
    ``published_used`` is the ledger of the method's published figures: what they used beyond normal training images.
    """

    declared_as: ClassVar[str]
    version: ClassVar[str]
    timeout: ClassVar[float | None] = None
    memory: ClassVar[float | None] = None
    gpu_memory: ClassVar[float | None] = None
    cpu_only: ClassVar[bool] = False
    published_used: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def fit(self, images: Images, context: FitContext) -> Self:
        """Learn from normal images, uint8 (n, height, width, channels); returns the method itself."""

    @abstractmethod
    def score(self, images: Images) -> Scores:
        """Anomaly scores, float (n,), larger = more anomalous.

        A score depends on its own image and on the fitted model alone, never on the other images in the call.
        """

    @classmethod
    def further_parameters(cls, given: Mapping[str, Value]) -> Mapping[str, Any]:
        """Hyperparameters that are no fields of the class, with their defaults, for a spec with the given ones.

        For adapters, whose hyperparameters depend on what they adapt; such a class takes them in its own ``__init__``
        and adds them to ``hyperparameters``. ``dataclasses.MISSING`` stands for a default where there is none; a
        ``bench.specs.Typed`` is one with the type that values are to have.
        """
        return {}

    @classmethod
    def needs_no_gpu(cls, given: Mapping[str, Value]) -> bool:
        """Whether it computes on the processor alone with the given hyperparameters."""
        return cls.cpu_only

    def hyperparameters(self) -> dict[str, Value]:
        """Every hyperparameter with its value."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]  # @method makes it one

    def used(self) -> tuple[str, ...]:
        """What these hyperparameters let the method use beyond normal training images and the image that it scores."""
        return ()

    def candidates(self, images: Images) -> Iterator[tuple[Mapping[str, Value], Scores]]:
        """Hyperparameters that the authors chose by labels, each with the scores (n,) of the images under them.

        For the harness's oracle, which a traced run keeps beside the method's own figure. The method sees no label.
        """
        yield from ()

    def reconstruct(self, images: Images) -> Images | None:
        """What the method made of each image where it scores by making them anew; None where it does not.

        uint8 (n, height, width, channels), of the size that the method works at. The harness keeps a few of them, for a
        figure.
        """
        return None

    def score_map(self, images: Images) -> Maps | None:
        """Where each image is anomalous, float (n, height, width), larger = more anomalous; None where there is no map.

        At the resolution that the method works at: the harness brings maps to the size of a mask. As a score does, a
        map depends on its own image and on the fitted model alone. Unless a method says otherwise, its map is the
        residual of what it reconstructs (``bench.maps.residual``), whether or not that is what it scores by.
        """
        from bench.maps import residual

        made = self.reconstruct(images)
        return None if made is None else residual(images, made)

    def save(self, folder: Path) -> None:
        """Write the fitted method into an existing folder."""
        import torch

        torch.save(vars(self), folder / STATE)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The fitted method that ``save`` wrote, on a device.

        Reading it can run code, as unpickling can: load only what you trust.
        """
        import torch

        loaded = cls.__new__(cls)
        vars(loaded).update(torch.load(folder / STATE, map_location=device, weights_only=False))
        if hasattr(loaded, "device"):
            loaded.device = device
        return loaded


class EpochMethod(Method):
    """A method that trains in epochs and hands control back after each.

    The harness drives ``fit_epochs`` and so owns progress, time limits, and the optional trace of the test AUROC
    that the method itself can never see. ``score`` must work after any epoch that is ``scorable``.

    ``resumable``: whether a training that was cut off can go on from a checkpoint. It can where all that training
    changes is the network that ``bench.training.train`` gets, optimisers by ``bench.training.adam``, and what is given
    to ``bench.checkpoints.remember``; what is done on an epoch may follow from those alone. ``bench check`` tries it.
    """

    resumable: ClassVar[bool] = False

    @abstractmethod
    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        """Train, yielding after every epoch; the method can be scored whenever it has yielded."""

    def fit(self, images: Images, context: FitContext) -> Self:
        for epoch in self.fit_epochs(images, context):
            context.on_epoch(epoch)
        return self


STATE = "method.pt"
"""Name of the file that ``Method.save`` writes."""

M = TypeVar("M", bound=Method)
R = TypeVar("R")


@dataclass_transform(kw_only_default=True, eq_default=False)
def method(
    *,
    version: str,
    timeout: float | None = None,
    memory: float | None = None,
    gpu_memory: float | None = None,
    cpu_only: bool = False,
    published_used: tuple[str, ...] = (),
) -> Callable[[type[M]], type[M]]:
    """Declare a class as the method of its file: its fields become hyperparameters of the spec.

    ``fit``, ``score``, ``reconstruct`` and ``score_map`` of such a class refuse what are no images before the class's
    own code sees it; ``reconstruct`` returns nothing else, and ``score_map`` finite maps, one for each.
    """

    def declare(cls: type[M]) -> type[M]:
        if not (isinstance(cls, type) and issubclass(cls, Method)):
            raise TypeError(f"@method is for subclasses of bench.method.Method; {cls!r} is none")
        declared = dataclass(kw_only=True, eq=False)(cls)
        declared.declared_as = "method"
        declared.version = version
        declared.timeout = timeout
        declared.memory = memory
        declared.gpu_memory = gpu_memory
        declared.cpu_only = cpu_only
        declared.published_used = published_used
        for name in ("fit", "fit_epochs"):
            if hasattr(declared, name):
                setattr(declared, name, _on_training_images(getattr(declared, name)))
        declared.score = _on_images_alike(declared.score)  # type: ignore[method-assign]
        declared.reconstruct = _returning_images(_on_images_alike(declared.reconstruct))  # type: ignore[method-assign]
        declared.score_map = _returning_maps(_on_images_alike(declared.score_map))  # type: ignore[method-assign]
        return declared

    return declare


def require_images(images: Any) -> None:
    """Raise BenchError where something is no uint8 array (n, height, width, channels) of at least one image."""
    wanted = "images are a NumPy array of uint8, (n, height, width, channels), with 1 or 3 channels and n > 0"
    if not isinstance(images, np.ndarray):
        raise BenchError(f"{wanted}; got {type(images).__name__}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        missing = images.dtype.kind == "f" and np.isnan(images).any()
        raise BenchError(
            f"{wanted}; got {images.dtype} {images.shape}{' with missing values (NaN)' if missing else ''}"
        )


def _on_training_images(fit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fit)
    def checked(self: Method, images: Images, context: FitContext) -> Any:
        require_images(images)
        self._fitted_on = images.shape[1:]  # type: ignore[attr-defined]
        return fit(self, images, context)

    return checked


def _on_images_alike(act: Callable[..., R]) -> Callable[..., R]:
    @functools.wraps(act)
    def checked(self: Method, images: Images) -> R:
        require_images(images)
        fitted_on = getattr(self, "_fitted_on", None)
        if fitted_on is None:
            raise BenchError(f"{type(self).__name__} has to be fitted before it can {act.__name__}")
        if images.shape[1:] != fitted_on:
            raise BenchError(
                f"fitted on images of shape {fitted_on}, asked to {act.__name__} images of {images.shape[1:]}"
            )
        return act(self, images)

    return checked


def _returning_images(reconstruct: Callable[..., Images | None]) -> Callable[..., Images | None]:
    @functools.wraps(reconstruct)
    def checked(self: Method, images: Images) -> Images | None:
        made = reconstruct(self, images)
        if made is None:
            return None
        try:
            require_images(made)
        except BenchError as error:
            raise BenchError(f"what reconstruct returned: {error}") from error
        if len(made) != len(images):
            raise BenchError(f"reconstruct returned {len(made)} images for {len(images)}; return one for each")
        return made

    return checked


def _returning_maps(score_map: Callable[..., Maps | None]) -> Callable[..., Maps | None]:
    @functools.wraps(score_map)
    def checked(self: Method, images: Images) -> Maps | None:
        made = score_map(self, images)
        if made is None:
            return None
        maps = np.asarray(made)
        if maps.ndim != 3 or len(maps) != len(images) or 0 in maps.shape or maps.dtype.kind != "f":
            raise BenchError(
                f"score_map returned {maps.dtype} {maps.shape} for {len(images)} images; return floats of shape "
                f"({len(images)}, height, width)"
            )
        if bad := int((~np.isfinite(maps)).any(axis=(1, 2)).sum()):
            raise BenchError(f"{bad} of the {len(maps)} maps that score_map returned hold numbers that are not finite")
        return maps

    return checked
