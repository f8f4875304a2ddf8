"""Which of several settings a criterion prefers, from fits on training images alone; no label has a part in it."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.criterion import AgreementCriterion, Better, Criterion
from bench.errors import BenchError
from bench.jobs import Job
from bench.method import Scores
from bench.record import Record
from bench.specs import Spec, parse_spec
from bench.tuning import HeldOut

TUNED = "tuned"
"""What stands, in the label of a tuned method, before the criterion: ``vae(tuned='made_anomalies')``."""

Fits = Mapping[str, Sequence[Record]]
"""By the label of a setting, the records of its fits on training images alone."""


@dataclass(frozen=True)
class Choice:
    """One setting chosen among several. ``among`` has, by label, the figures of the fits of each that has any."""

    of: str
    """The spec whose setting was chosen."""
    by: str
    better: Better
    among: Mapping[str, Sequence[float]]
    tuning: str
    """How the training images were divided: that of the first fit."""

    @property
    def chosen(self) -> str:
        """The label of the setting with the best median figure; of equal ones the first."""
        return self.equals[0]

    @property
    def equals(self) -> list[str]:
        """The labels of all settings with the best median figure."""
        sign = 1 if self.better == "higher" else -1
        medians = {label: sign * statistics.median(own) for label, own in self.among.items()}
        return [label for label, median in medians.items() if median == max(medians.values())]

    @property
    def label(self) -> str:
        """Under which the tuned method stands in tables."""
        spec = parse_spec(self.of)
        return str(Spec(spec.name, {**spec.parameters, TUNED: self.by}))

    def facts(self) -> dict[str, Any]:
        """The choice as a record has it."""
        return {**dataclasses.asdict(self), "among": {label: list(own) for label, own in self.among.items()}}


def trials(job: Job, repeats: int, share: float, bootstrap: bool, seeded: bool) -> list[Job]:
    """The fits on a part of a job's training images that tell how good its setting is, before it is tested.

    Where the seed does not change the split (``seeded``), jobs of all seeds have the same ones.
    """
    first = dataclasses.replace(job, seed=job.seed if seeded else 0, corruption="")
    held_out = [HeldOut(share, repeat, bootstrap) for repeat in range(repeats)]
    return [dataclasses.replace(first, tuning=str(each)) for each in held_out]


def figures_of(criterion: Criterion, fits: Fits, scores: Callable[[Record], Scores]) -> dict[str, list[float]]:
    """By label, what a criterion says of each fit of a setting, or of all of them; settings without are not there.

    ``scores``: of the held-out images (n,) by a fit, which are the same images for all.
    """
    if not isinstance(criterion, AgreementCriterion):
        spec = criterion.spec
        own = {label: [each.criteria[spec] for each in fits[label] if spec in each.criteria] for label in fits}
        return {label: figures for label, figures in own.items() if figures}
    known = {label: [scores(record) for record in each if record.status == "done"] for label, each in fits.items()}
    found = {}
    for label, mine in known.items():
        others = [each for other, theirs in known.items() if other != label for each in theirs]
        if mine and (figure := criterion.figure(mine, others)) is not None:
            found[label] = [figure]
    return found


def choose(of: str, criterion: Criterion, fits: Fits, scores: Callable[[Record], Scores]) -> Choice:
    """The choice among settings of one method by a criterion.

    Raises BenchError where it has no figure of any of them, or of one whose fits all ended well.
    """
    among = figures_of(criterion, fits, scores)
    silent = [
        label for label, own in fits.items() if label not in among and all(record.status == "done" for record in own)
    ]
    if silent or not among:
        told = f"of {', '.join(silent)}" if silent else "of any setting, as no fit ended well"
        raise BenchError(
            f"{criterion.spec} says nothing {told}; choose by another criterion: bench list criteria shows all"
        )
    tuning = next(record.job.tuning for own in fits.values() for record in own)
    return Choice(of, criterion.spec, criterion.better, among, tuning)


def tuned(record: Record) -> Choice | None:
    """The choice that a record's label names; None where its setting was asked for as it is."""
    return next((choice for choice in map(_read, record.choices) if choice.label == record.job.label), None)


def with_choice(record: Record, choice: Choice) -> Record:
    """The record with a choice that came to it; one of the same method by the same criterion is replaced."""
    others = [each for each in record.choices if (each["of"], each["by"]) != (choice.of, choice.by)]
    return dataclasses.replace(record, choices=[*others, choice.facts()])


def under_every_label(records: Sequence[Record]) -> list[Record]:
    """The records that are tested, each under its own label and under that of every choice that came to it."""
    found = []
    for record in records:
        if record.job.tuning:
            continue
        if tuned(record) is None:
            found.append(record)
        for choice in map(_read, record.choices):
            named = dataclasses.replace(record.job, label=choice.label)
            found.append(dataclasses.replace(record, job=named, choices=[choice.facts()]))
    return found


def _read(facts: Mapping[str, Any]) -> Choice:
    return Choice(**{field.name: facts[field.name] for field in dataclasses.fields(Choice)})
