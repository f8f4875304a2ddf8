"""Measuring a detector that is no plugin: any object with ``fit`` and ``score``, or one of scikit-learn's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from bench.api import words
from bench.api.words import File
from bench.errors import BenchError
from bench.execution.detector import Diverged
from bench.execution.fits import Fits
from bench.execution.measurement import measured_with
from bench.execution.messages import Task
from bench.images import flattened
from bench.jobs import Job, Request, grids
from bench.method import FitContext, Images, Method, Scores, ignore_epoch
from bench.specs import Value
from bench.workspace import open_workspace

if TYPE_CHECKING:
    from pandas import DataFrame

Call = Callable[..., Any]


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What a detector made of the test images of one normal class."""

    name: str
    """Of the detector's class."""
    job: Job = field(repr=False)
    metrics: Mapping[str, float]
    """``auroc``, ``average_precision`` and ``fpr_at_95_tpr``."""
    scores: NDArray[np.floating[Any]]
    """(n,), larger = more anomalous."""
    labels: NDArray[np.uint8]
    """(n,), 0 normal and 1 anomalous."""
    indices: NDArray[np.int64]
    """(n,), of the test images among the dataset's."""
    split: Mapping[str, Any]
    """How many images ``train`` and ``test`` had, and their ``fingerprint``, which records of the same images share."""
    cost: Mapping[str, Any]
    """``fit_seconds``, ``score_seconds`` and the like."""
    taken: str
    """What was taken for the anomaly score."""
    used: Sequence[str]
    """What showed of the detector beyond normal training images: that a score depends on the other test images, say."""

    @property
    def auroc(self) -> float:
        return self.metrics["auroc"]

    def frame(self) -> DataFrame:
        """A row for each test image: ``index``, ``label`` and ``score``."""
        from pandas import DataFrame

        return DataFrame({"index": self.indices, "label": self.labels, "score": self.scores})

    def __repr__(self) -> str:
        job = self.job
        figures = ", ".join(f"{name} {value:.3f}" for name, value in self.metrics.items())
        lines = [
            f"{self.name} on {job.dataset}, class {job.normal_class}, seed {job.seed}: {figures}",
            f"{job.protocol} (version {job.protocol_version}), {self.split['train']} training images, "
            f"{self.split['test']} test images, {self.split['anomalous']} of them anomalous",
            f"the anomaly score is {self.taken}",
            *(f"† used {what}" for what in self.used),
        ]
        return "\n".join(lines)


def evaluate(
    detector: Any,
    dataset: str,
    normal_class: str | int,
    *,
    protocol: str | None = None,
    seed: int = 0,
    max_train: int | None = None,
    contamination: float = 0.0,
    corruption: str = "",
    device: str = "cpu",
    data: File | None = None,
    config: File | None = None,
) -> Evaluation:
    """Fit a detector on the training images of a normal class and measure it on the test images, in this process.

    The images, the seeding and the figures are those of a job of ``bench.run`` with the same dataset, protocol, class,
    seed and condition. ``detector`` is one of

    - an object with ``fit(images)`` and ``score(images)``, larger = more anomalous, for uint8 images (n, height, width,
      channels); ``fit`` gets a FitContext too, with a seed and the ``device``, if it has an argument ``context``;
    - one of scikit-learn's with ``score_samples`` or ``decision_function``, or a pipeline that ends in one, which get
      rows of floats in [0, 1]. There larger is more normal, so their minus is taken; of pyod's it is as here.

    It is fitted in place, and gets no label. Raises BenchError for what does not exist or is no detector, or where a
    score is not finite; what the detector raises comes through.
    """
    workspace = open_workspace(words.path(config), words.path(data))
    request = Request(
        dataset=dataset,
        protocol=protocol,
        classes=str(normal_class),
        seeds=f"{seed},",
        max_train=words.several_or_none(max_train),
        contamination=[contamination],
        corruption=[corruption],
    )
    (grid,) = grids(request, workspace)
    (condition,) = grid.conditions
    name = type(detector).__name__
    adapted, taken = _adapted(detector)
    job = Job(
        method=name,
        label=name,
        spec=name,
        method_version="",
        fingerprint="",
        dataset=grid.dataset.spec,
        dataset_checksum=grid.dataset.checksum,
        protocol=grid.protocol.spec,
        protocol_version=grid.protocol.version,
        normal_class=grid.classes[0],
        seed=seed,
        profile="",
        **condition._asdict(),
    )
    folders = workspace.config.plugins.protocols
    task = Task(job, grid.dataset.folder, (), protocol_folders=folders, device=device)
    try:
        outcome = measured_with(adapted, grid.dataset, task, ignore_epoch, [], Fits())
    except Diverged as error:
        raise BenchError(f"{name} on class {job.normal_class} of {job.dataset}: {error}") from error
    assert outcome.arrays is not None
    return Evaluation(
        name=name,
        job=job,
        metrics=outcome.metrics,
        scores=outcome.arrays["scores"],
        labels=outcome.arrays["labels"],
        indices=outcome.arrays["indices"],
        split=outcome.split,
        cost=outcome.cost,
        taken=taken,
        used=outcome.ledger["used"],
    )


def _adapted(detector: Any) -> tuple[Method, str]:
    """The detector as a method, and what of it is the anomaly score."""
    if isinstance(detector, Method) and hasattr(detector, "declared_as"):
        return detector, "score(images)"
    if isinstance(detector, type):
        raise BenchError(f"{detector.__name__} is a class; give an object of it: {detector.__name__}()")
    fit = getattr(detector, "fit", None)
    packages = {cls.__module__.partition(".")[0] for cls in type(detector).__mro__}
    names = ("score_samples", "decision_function", "score")
    found = [name for name in names if callable(getattr(detector, name, None))]
    if not callable(fit) or not found:
        raise BenchError(
            f"{type(detector).__name__} has {'no fit' if not callable(fit) else 'nothing to score images with'}; a "
            "detector has fit(images) and score(images), larger = more anomalous, or scikit-learn's score_samples or "
            "decision_function"
        )
    if "sklearn" not in packages and "score" in found:
        return _Adapted(fit, detector.score), "score(images)"
    name, score = found[0], getattr(detector, found[0])
    if name == "score":  # an estimator of one's own, as those of scikit-learn have a single number there
        return _Adapted(fit, score, flattened), "score(rows)"
    if "pyod" in packages:
        return _Adapted(fit, score, flattened), f"{name}(rows)"
    return _Adapted(fit, lambda rows: -np.asarray(score(rows)), flattened), f"−{name}(rows)"


class _Adapted(Method):
    """Functions that fit and score as a method that has no hyperparameters; images are prepared for both."""

    def __init__(self, fit: Call, score: Call, prepare: Callable[[Images], Any] = np.array) -> None:
        self._fit = fit
        self._score = score
        self._prepare = prepare
        self._takes_context = "context" in inspect.signature(fit).parameters

    def fit(self, images: Images, context: FitContext) -> Self:
        self._fit(self._prepare(images), **({"context": context} if self._takes_context else {}))
        return self

    def score(self, images: Images) -> Scores:
        return cast(Scores, self._score(self._prepare(images)))

    def hyperparameters(self) -> dict[str, Value]:
        return {}
