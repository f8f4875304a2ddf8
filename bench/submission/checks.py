"""What has to hold of every record of a submission, tried without doing its job again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.errors import BenchError, RecordUnreadable
from bench.fingerprint import own_files, source_fingerprint
from bench.jobs import SCHEMA
from bench.metrics import measured
from bench.protocol import Split
from bench.record import Arrays, Record
from bench.registry import Plugin, Registry
from bench.sources import DATASET_SOURCE, Sources
from bench.specs import parse_spec
from bench.store import Store
from bench.workspace import Workspace


class Refusal(NamedTuple):
    """Why a submission is refused."""

    check: str
    """Which check it failed: see docs/submissions.md."""
    of: str
    """What it is of: a record, or a file."""
    reason: str


@dataclass
class Submission:
    """A results folder that is to be checked, and the workspace of the machine that checks.

    ``with_code``: the workspace that has the plugins of a record as they are kept in the folder.
    """

    folder: Path
    workspace: Workspace
    with_code: Callable[[Record], Workspace]

    @functools.cached_property
    def store(self) -> Store:
        return Store(self.folder)

    def records(self) -> tuple[list[Record], list[Refusal]]:
        """The records, and what cannot be read of the folder."""
        records, unreadable = self.store.records()
        refused = [Refusal("schema", str(self.folder), str(error)) for error in unreadable]
        if not records and not refused:
            refused = [Refusal("schema", str(self.folder), "there are no records in it")]
        return records, refused

    def refusals(self, record: Record) -> Iterator[Refusal]:
        """What is wrong with a record; where one check fails, those that would build on it are not tried."""
        for check in CHECKS:
            try:
                reason = check(record, self)
            except BenchError as error:
                reason = str(error)
            if reason:
                yield Refusal(check.__name__, f"{record.job.key[:12]} ({record.job.title})", reason)
                return

    def plugin(self, record: Record) -> Plugin:
        """The method of a record. Raises BenchError where it is neither kept nor installed."""
        return self.with_code(record).methods.find(record.job.method)

    def split(self, record: Record) -> Split:
        """The split of a record's job, made here. Raises BenchError where it cannot be made."""
        job, here = record.job, self.with_code(record)
        return job.split(here.dataset(parse_spec(job.dataset)), here.protocol(job.protocol))

    def scores(self, record: Record) -> Arrays:
        return self.store.scores(record)


def ended(record: Record, submission: Submission) -> str:
    if record.job.tuning:
        return "it chose a setting and was not tested: submit what was chosen"
    return "" if record.status == "done" else f"it ended as {record.status}: submit jobs that are done"


def version(record: Record, submission: Submission) -> str:
    job, here = record.job, submission.with_code(record)
    if job.schema != SCHEMA:
        return f"it is of schema {job.schema}, today's is {SCHEMA}; make it again with bench run --rerun all"
    protocol = here.protocol(job.protocol).version
    if job.protocol_version != protocol:
        return f"{job.protocol} has version {protocol}, the record is of {job.protocol_version}"
    method = here.methods.load(job.method).version
    return "" if job.method_version == method else f"{job.method} has version {method}, not {job.method_version}"


def code(record: Record, submission: Submission) -> str:
    """The code is here, is what its fingerprint says, and does not go by the name of another."""
    job, own = record.job, submission.workspace
    dataset = parse_spec(job.dataset).name
    of_dataset = record.provenance.get(DATASET_SOURCE, "")
    told = _code(own.methods, job.method, job.fingerprint, submission)
    return told or (_code(own.datasets, dataset, of_dataset, submission) if of_dataset else "")


def _code(registry: Registry, name: str, fingerprint: str, submission: Submission) -> str:
    today, kept = registry.plugins.get(name), Sources(submission.folder).find(fingerprint)
    if today is not None and source_fingerprint(today) == fingerprint:
        return ""
    if today is not None and not own_files(today):
        return f"{name} is a {registry.kind} of bench with other code; give yours another name, or run today's"
    if kept is None:
        return f"the code of {registry.kind} {name} is not in {submission.folder / 'sources'}"
    if source_fingerprint(kept) != fingerprint:
        return f"the code of {registry.kind} {name} in the submission is not the one that made the record"
    return ""


def data(record: Record, submission: Submission) -> str:
    job = record.job
    found = submission.with_code(record).dataset(parse_spec(job.dataset)).checksum
    return "" if found == job.dataset_checksum else f"the images of {job.dataset} are not those of this machine"


def split(record: Record, submission: Submission) -> str:
    made = submission.split(record)
    if record.split["fingerprint"] == made.fingerprint:
        return ""
    return f"it names the split {record.split['fingerprint']}; {record.job.protocol} makes {made.fingerprint}"


def scores(record: Record, submission: Submission) -> str:
    try:
        found = submission.scores(record)
    except RecordUnreadable as error:
        return str(error)
    made = submission.split(record)
    same = np.array_equal(found["indices"], made.test) and np.array_equal(found["labels"], made.test_labels)
    return "" if same else "its scores are not of the test images of its split, or not with their labels"


def figures(record: Record, submission: Submission) -> str:
    """The figures are those of the scores."""
    found = submission.scores(record)
    figures = measured(found["labels"], np.asarray(found["scores"], np.float64))
    for name, value in figures.items():
        if record.metrics.get(name) != value:
            return f"it says {name} {record.metrics.get(name)!r}; of its scores it is {value!r}"
    return ""


CHECKS = (ended, code, version, data, split, scores, figures)
"""In the order in which they are tried."""
