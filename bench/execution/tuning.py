"""Comparing settings, or methods, on training images alone: the fits that it takes, as ordinary jobs with records.

These lie in a results folder of their own, below the one where what is chosen is tested.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.choice import Choice, Fits, trials, with_choice
from bench.criterion import AgreementCriterion, Criterion, require_elsewhere
from bench.errors import BenchError, warn
from bench.execution import run as execution
from bench.execution.executor import Executor
from bench.execution.judgement import code_of, lacks, usable
from bench.execution.run import Options, Rerun, Result
from bench.execution.session import Show, execute
from bench.jobs import Job
from bench.method import Scores
from bench.record import Record
from bench.specs import Spec, Value, parse_spec, parse_value
from bench.store import TUNING, Store
from bench.workspace import Workspace


@dataclass(frozen=True)
class Way:
    """How settings are compared: fits of each, and the share of the training images that they hold out."""

    repeats: int = 3
    share: float = 0.2
    bootstrap: bool = False

    def __post_init__(self) -> None:
        if self.repeats < 1 or not 0 < self.share < 1:
            raise BenchError(
                f"{self.repeats} fits that hold out {self.share:g} of the images tell nothing; try 3 and 0.2"
            )


class Case(NamedTuple):
    """What is chosen for: a normal class of a data set, with the split of a seed."""

    dataset: str
    protocol: str
    normal_class: str
    seed: int
    profile: str
    max_train: int | None
    contamination: float
    corruption: str

    def __str__(self) -> str:
        return f"{self.dataset}, {self.protocol}, class {self.normal_class}, seed {self.seed}"


Cases = Mapping[Case, Mapping[str, Job]]
"""By case, the job of each setting by its label: what would be tested if it were chosen."""


class Compared(NamedTuple):
    """How the fits of all cases ended, and by case their records by label."""

    result: Result
    fits: Mapping[Case, Fits]
    store: Store

    def scores(self, record: Record) -> Scores:
        """Of the held-out images, by one fit."""
        return self.store.scores(record)["scores"]


def settings(spec: str, over: Sequence[str]) -> list[Spec]:
    """The spec with every combination of values, ``latent=8,32,128`` each. Raises BenchError for what is unreadable."""
    base = parse_spec(spec)
    axes: dict[str, list[Value]] = {}
    for text in over:
        name, equals, values = text.partition("=")
        found = _values(values)
        if not (equals and name.strip().isidentifier() and found) or name.strip() in axes:
            raise BenchError(
                f"cannot read --over {text!r}; write each parameter once, with its values: latent=8,32,128"
            )
        axes[name.strip()] = found
    made = [
        Spec(base.name, {**base.parameters, **dict(zip(axes, combined, strict=True))})
        for combined in itertools.product(*axes.values())
    ]
    found_specs = list(dict.fromkeys(made))
    if len(found_specs) < 2:
        raise BenchError(f"one setting of {base.name} leaves nothing to choose; write several: --over latent=8,32,128")
    return found_specs


def cases_of(jobs: Iterable[Job]) -> Cases:
    """The jobs of several settings by what is chosen for."""
    found: dict[Case, dict[str, Job]] = defaultdict(dict)
    for job in jobs:
        found[Case(*(getattr(job, name) for name in Case._fields))].setdefault(job.label, job)
    return found


def compare(
    title: str,
    cases: Cases,
    way: Way,
    asked: Sequence[Criterion],
    workspace: Workspace,
    executor: Executor,
    options: Options,
    show: Show = "progress",
    rerun: Rerun = "missing",
) -> Compared:
    """Fit every setting of every case on a part of its training images, as far as records do not tell already.

    Besides those ``asked`` for, every criterion has a figure in the records that needs no parameter. Raises BenchError
    for a criterion that would take images of a data set that is tested on, and as ``bench.execution.run`` does.
    """
    for criterion, dataset in itertools.product(asked, {case.dataset for case in cases}):
        require_elsewhere(criterion, dataset)
    aside = dataclasses.replace(workspace, results=workspace.results / TUNING)
    wanted = {each.spec: each for each in (*asked, *usable(workspace)) if not isinstance(each, AgreementCriterion)}
    code = code_of(tuple(wanted), workspace.criteria)
    jobs = {
        case: {
            label: trials(job, way.repeats, way.share, way.bootstrap, workspace.protocol(job.protocol).seeded)
            for label, job in labelled.items()
        }
        for case, labelled in cases.items()
    }
    every = {job.key: job for labelled in jobs.values() for own in labelled.values() for job in own}
    planned = execution.plan(list(every.values()), aside, executor.device, rerun)
    again = [job for job in planned.jobs if _is_silent(planned.records.get(job.key), code)]
    planned.pending = list({job.key: job for job in (*planned.pending, *again)}.values())
    result = execute(title, planned, aside, executor, dataclasses.replace(options, criteria=tuple(wanted)), show)
    store = Store(aside.results)
    found = {key: record for key, job in every.items() if (record := store.get(job))}  # it knows where its scores are

    def records(own: Sequence[Job]) -> list[Record]:
        return [found[job.key] for job in own if job.key in found]

    fits = {case: {label: records(own) for label, own in each.items()} for case, each in jobs.items()}
    return Compared(result, fits, store)


def note(choices: Iterable[tuple[Job, Choice]], store: Store) -> None:
    """Write into the record of each job the choice that came to it; one that is packed stays, which is said."""
    for job, choice in choices:
        record = store.get(job)
        if record is None or (noted := with_choice(record, choice)) == record:
            continue
        if archive := store.archive(job):
            warn(BenchError(f"the record of {job.title} is packed in {archive.path} and does not tell of this choice"))
        else:
            store.put(noted)


def _is_silent(record: Record | None, code: Mapping[str, str]) -> bool:
    return record is not None and record.status == "done" and lacks(record, code)


def _values(text: str) -> list[Value]:
    """The values in a list with commas; those inside parentheses and quotes belong together."""
    whole = parse_value(f"({text},)")
    if isinstance(whole, tuple):
        return list(whole)
    return [parse_value(piece) for piece in text.split(",") if piece.strip()]
