"""The contract of a criterion: a figure by which fitted detectors are compared without a label or a test image.

The smallest plugin, a file ``bench/criteria/held_out_mean.py``::

    from bench.criterion import DetectorCriterion, criterion

    @criterion(version=1, better="lower", across_methods=False)
    class HeldOutMean(DetectorCriterion):
        \"\"\"The mean score of normal images that did not train.\"\"\"

        def figure(self, fitted):
            return float(fitted.held_out_scores.mean())
"""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, dataclass_transform

import numpy as np

from bench.errors import BenchError
from bench.method import Images, Scores
from bench.randomness import derive_seed
from bench.specs import parse_spec

if TYPE_CHECKING:
    from bench.registry import Registry

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Fitted:
    """A fitted detector with the normal images at hand: all that a criterion can reach.

    ``train`` (n, height, width, channels) are the images that it was fitted on, ``held_out`` (m, …) normal images that
    it was not. ``score`` is the detector's: (k,) of images (k, …), larger = more anomalous. ``losses`` are those of
    each epoch of its training, by name. ``others`` are images of other data sets, by the spec of these.
    """

    train: Images
    held_out: Images
    score: Callable[[Images], Scores]
    losses: Sequence[Mapping[str, float]] = ()
    others: Mapping[str, Images] = field(default_factory=dict)
    seed: int = 0

    @functools.cached_property
    def train_scores(self) -> Scores:
        """The scores (n,) of the images that it was fitted on."""
        return self.score(self.train)

    @functools.cached_property
    def held_out_scores(self) -> Scores:
        """The scores (m,) of the normal images that it was not fitted on."""
        return self.score(self.held_out)

    def generator(self, *names: str | int) -> np.random.Generator:
        """What a criterion draws from: the same numbers for every detector that is compared on the same images."""
        return np.random.default_rng(derive_seed("criterion", self.seed, *names))


class Criterion(ABC):
    """A figure of detectors, which sees no label and no test image. Fields of the class are parameters of its spec.

    ``better`` says which way; ``across_methods``: whether figures of different methods can be held against each other,
    and not only those of one method's settings. ``version``: raise it when a change makes other figures.
    """

    declared_as: ClassVar[str]
    version: ClassVar[int]
    better: ClassVar[Better]
    across_methods: ClassVar[bool]
    spec: str = ""
    """Its name, with its parameters where these are not the defaults."""

    def datasets(self) -> Sequence[str]:
        """Specs of other data sets whose images it wants among ``Fitted.others``."""
        return ()

    def worth(self, figure: float) -> float:
        """A figure as something of which more is better."""
        return figure if self.better == "higher" else -figure


class DetectorCriterion(Criterion):
    """A figure of one fitted detector."""

    @abstractmethod
    def figure(self, fitted: Fitted) -> float | None:
        """The figure of a detector; None where the criterion says nothing about it."""


class AgreementCriterion(Criterion):
    """A figure of one setting's fits, by how several detectors score the same held-out images."""

    @abstractmethod
    def figure(self, own: Sequence[Scores], others: Sequence[Scores]) -> float | None:
        """The figure of a setting: ``own`` are the scores (m,) by each of its fits, ``others`` by those of all others.

        None where there are too few of them.
        """


def open_criterion(text: str, criteria: Registry) -> Criterion:
    """The criterion of a spec. Raises BenchError with the nearest names where there is none."""
    spec = criteria.resolve(parse_spec(text))
    built: Criterion = criteria.build(spec)
    built.spec = str(spec)
    return built


def remembering(score: Callable[[Images], Scores]) -> Callable[[Images], Scores]:
    """The same function, which scores no images a second time: several criteria ask for the same ones."""
    known: dict[bytes, Scores] = {}

    def remembered(images: Images) -> Scores:
        content = hashlib.sha256(np.ascontiguousarray(images).data).digest()
        if content not in known:
            known[content] = score(images)
        return known[content]

    return remembered


def require_elsewhere(criterion: Criterion, dataset: str) -> None:
    """Raise BenchError where a criterion would take images of the very data set that is tested on."""
    for text in criterion.datasets():
        if parse_spec(text).name == parse_spec(dataset).name:
            raise BenchError(
                f"{criterion.spec} takes images of {text}, among which are test images of {dataset}; name another "
                "data set, whose images are anomalies here"
            )


C = TypeVar("C", bound=Criterion)


@dataclass_transform(kw_only_default=True, eq_default=False)
def criterion(*, version: int, better: Better, across_methods: bool = True) -> Callable[[type[C]], type[C]]:
    """Declare a class as the criterion of its file: its fields become parameters of the spec."""

    def declare(cls: type[C]) -> type[C]:
        if not (isinstance(cls, type) and issubclass(cls, DetectorCriterion | AgreementCriterion)):
            raise TypeError(
                "@criterion is for subclasses of bench.criterion.DetectorCriterion or AgreementCriterion; "
                f"{cls!r} is neither"
            )
        declared: Any = dataclass(kw_only=True, eq=False)(cls)
        declared.declared_as = "criterion"
        declared.version = version
        declared.better = better
        declared.across_methods = across_methods
        return cls

    return declare
