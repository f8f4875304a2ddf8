"""Which detector for images of one's own, of which there are normal ones alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.api.images import training_pictures
from bench.choice import figures_of
from bench.criterion import Criterion
from bench.dataset import Dataset, LabelledImages
from bench.errors import BenchError
from bench.execution.executor import Executor
from bench.execution.judgement import usable
from bench.execution.run import Options, Result
from bench.execution.session import Show
from bench.execution.tuning import Way, cases_of, compare
from bench.jobs import Request, expand
from bench.pictures import is_picture
from bench.prepared import prepare
from bench.recommendation import Recommendation, recommend
from bench.record import Record
from bench.specs import Spec
from bench.workspace import Workspace

CLASS = "normal"
"""Of pictures that are all normal."""
LEADING = "centrality"
"""The criterion that is recommended by: among methods it was worth most in the study (docs/choosing.md)."""
PROTOCOL = "official_split"
"""By which all of them train: none is a test image."""


@dataclass(frozen=True)
class Cost:
    """Medians over the fits of a method: seconds that one took, and seconds to score an image."""

    fit_seconds: float
    score_seconds: float


@dataclass(frozen=True)
class Advice:
    """What criteria say of the methods that were fitted: their figures by criterion and label, and what follows."""

    result: Result
    figures: Mapping[Criterion, Mapping[str, Sequence[float]]]
    costs: Mapping[str, Cost]
    recommendation: Recommendation
    """What all criteria say together."""
    images: int

    @property
    def leading(self) -> Mapping[str, float]:
        """What the criterion that is recommended by says of each method, best first; empty where it says nothing."""
        found = next((own for each, own in self.figures.items() if each.spec == LEADING), {})
        medians = {label: statistics.median(own) for label, own in found.items()}
        return dict(sorted(medians.items(), key=lambda each: -each[1]))

    @property
    def recommended(self) -> str:
        """The label of the method to take: the first by that criterion, and by all together where it says nothing."""
        return next(iter(self.leading), self.recommendation.order[0])


class NormalPictures(Dataset):
    """The pictures in a folder, all of them normal, as a data set of one class without a test image."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size

    def elsewhere(self, root: Path) -> str:
        return str(self.folder.resolve())

    def source_files(self, root: Path) -> list[Path]:
        return sorted(file for file in self.folder.iterdir() if is_picture(file))

    def read(self, root: Path) -> LabelledImages:
        images = training_pictures(self.folder, self.size).images
        count = len(images)
        return LabelledImages(images, np.zeros(count, np.int64), (CLASS,), np.zeros(count, np.bool_))

    def fetch(self, root: Path) -> None:
        raise BenchError(f"{self.folder} are your own pictures; there is nowhere to fetch them from")


def advise(
    folder: Path,
    methods: str,
    size: int,
    profile: str | None,
    max_train: int | None,
    way: Way,
    workspace: Workspace,
    executor: Executor,
    options: Options,
    show: Show = "progress",
) -> Advice:
    """Fit the methods on a part of a folder's normal pictures, and rank them by every criterion that compares methods.

    The fits are jobs, whose records lie where those of ``bench tune`` do. Raises BenchError for a folder without
    pictures, a method that does not exist, or where no fit ended well.
    """
    training_pictures(folder, 1)  # what is wrong with the folder is said first
    spec = workspace.datasets.resolve(Spec("folder", {"path": str(folder), "size": size}))
    prepared = prepare(NormalPictures(folder, size), spec.name, str(spec), workspace.data)
    workspace.hold(prepared)
    request = Request(
        dataset=str(spec),
        protocol=PROTOCOL,
        methods=methods,
        profile=profile,
        max_train=() if max_train is None else (max_train,),
    )
    ((case, labelled),) = cases_of(expand(request, workspace)).items()
    criteria = [each for each in usable(workspace) if each.across_methods]
    title = f"{folder}: {len(labelled)} methods"
    compared = compare(title, {case: labelled}, way, criteria, workspace, executor, options, show)
    fits = {
        label: ended
        for label, own in compared.fits[case].items()
        if (ended := [record for record in own if record.status == "done"])
    }
    figures = {each: found for each in criteria if (found := figures_of(each, fits, compared.scores))}
    if not figures:
        raise BenchError(f"none of {methods} could be fitted on {folder}; bench show KEY tells why")
    costs = {label: _cost(own) for label, own in fits.items()}
    return Advice(compared.result, figures, costs, recommend(figures), len(prepared.labels))


def _cost(fits: Sequence[Record]) -> Cost:
    return Cost(
        statistics.median(record.cost["fit_seconds"] for record in fits),
        statistics.median(1 / record.cost["images_per_second"] for record in fits),
    )
