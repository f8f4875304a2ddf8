"""Why figures differ from published ones: experiments whose records come nearer to them, or do not.

A file of experiments (``results/causes.toml``) says what might be the cause of which differences, and which records
show it. What they show is read from those records, never from the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bench.config import Model
from bench.errors import BenchError
from bench.record import Record
from bench.report.claims import Claim
from bench.report.narrowing import NoRecords, Wanted
from bench.report.request import selections
from bench.report.tables.table import Cell, Choice, class_table
from bench.workspace import Workspace

TABLES: dict[str, Choice] = {"last": "last", "oracle": "oracle", "by batch": "every"}
"""The table that shows a selection."""
PART = 0.5
"""Share of a difference that an experiment has to take away to explain a part of it."""


class Experiment(Model):
    """A possible cause of differences in one table, and the records that tell whether it is one."""

    cause: Literal["budget", "epoch chosen by labels", "batch statistics", "protocol", "preprocessing", "reading"]
    says: str
    """What was done otherwise, in a few words."""
    tables: list[str]
    label: str
    """The method as our table shows it."""
    results: str = "reference"
    """Folder of the records, beside the file."""
    profile: str | None = None
    by: str = ""
    """The spec of the records; empty: ``label``."""
    suite: str = ""
    """Where the records are of another suite than the claim: which."""
    selection: Literal["last", "oracle", "by batch"] = "last"


class Causes(Model):
    """A file of experiments."""

    experiment: tuple[Experiment, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A claim that differs, and the experiment that comes nearest to the published figure; None where none does."""

    claim: Claim
    experiment: Experiment | None = None
    auroc: float = 0.0
    """What the experiment has for the class."""

    @property
    def left(self) -> float:
        """The experiment's AUROC − the published one."""
        return self.auroc - self.claim.published.auroc

    def verdict(self, tolerance: float) -> Literal["explained", "in part", "unexplained"]:
        """``explained`` where the experiment is within the tolerance, ``in part`` where it leaves half of the gap."""
        if self.experiment is None:
            return "unexplained"
        if round(abs(self.left), 6) <= tolerance:
            return "explained"
        assert self.claim.difference is not None
        return "in part" if abs(self.left) <= PART * abs(self.claim.difference) else "unexplained"


def read_causes(file: Path) -> Sequence[Experiment]:
    """The experiments in a file. Raises BenchError where it is not there or holds something else."""
    try:
        return Causes.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))).experiment
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BenchError(f"experiments {file} cannot be read: {error}; name another file with --causes") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BenchError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def explanations(
    claims: Iterable[Claim],
    experiments: Sequence[Experiment],
    records: Callable[[str], Sequence[Record]],
    workspace: Workspace,
    tolerance: float,
) -> list[Explanation]:
    """For each claim that differs by more than the tolerance, what explains it best.

    ``records`` reads the records of an experiment's results.
    """
    found = []
    for claim in claims:
        if claim.verdict(tolerance) == "differs":
            fit = [e for e in experiments if claim.published.table in e.tables and claim.label == e.label]
            shown = [(each, _shown(each, claim, records(each.results), workspace)) for each in fit]
            tried = [Explanation(claim, each, auroc) for each, auroc in shown if auroc is not None]
            found.append(min(tried, key=lambda each: abs(each.left), default=Explanation(claim)))
    return found


def _shown(experiment: Experiment, claim: Claim, records: Sequence[Record], workspace: Workspace) -> float | None:
    """The experiment's AUROC for the claim's class; None where the records have none."""
    label, row = experiment.by or experiment.label, claim.published.normal_class
    own = [record for record in records if record.job.label == label]
    try:
        wanted = Wanted(profile=experiment.profile)
        chosen, (shown,) = selections(experiment.suite or claim.published.suite, own, workspace, wanted)
    except NoRecords:
        return None
    (selection,) = chosen.values()
    table = class_table(selection, "auroc", choice=TABLES[experiment.selection])
    column = shown + ("" if experiment.selection == "last" else f" ({experiment.selection})")
    return None if row in table.partial else table.cells.get(row, {}).get(column, Cell()).mean
