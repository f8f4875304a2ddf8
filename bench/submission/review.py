"""Reviewing a submission: every record is checked, and some, drawn by lot, are done again on this machine."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from bench.corruption import parse_corruption
from bench.errors import BenchError
from bench.execution.again import ELSEWHERE, Repetition, again
from bench.execution.executor import Executor
from bench.execution.observers import Observer
from bench.fingerprint import own_files
from bench.metrics import auroc
from bench.record import Record
from bench.specs import parse_spec
from bench.submission.blind import blind_scores
from bench.submission.checks import Refusal, Submission


def drawn(records: Sequence[Record], count: int, seed: int) -> list[Record]:
    """So many records by lot, at least one of each method."""
    lot = random.Random(seed)
    shuffled = lot.sample(list(records), len(records))
    first = {record.job.method: record for record in reversed(shuffled)}
    chosen = {record.job.key: record for record in (*first.values(), *shuffled)}
    return list(chosen.values())[: max(count, len(first))]


def repeated(record: Record, submission: Submission, executor: Executor) -> Iterator[Refusal | Repetition]:
    """Do a record's job again: first as any job, then, where its code is a stranger's, by images alone."""
    named = f"{record.job.key[:12]} ({record.job.title})"
    here = submission.with_code(record)
    try:
        repetition = again(record, here, executor, Observer())
    except BenchError as error:
        yield Refusal("rerun", named, str(error))
        return
    yield repetition
    if not repetition.holds:
        was, now = record.metrics["auroc"], repetition.today.metrics["auroc"]
        yield Refusal("rerun", named, f"its AUROC was {was!r} and is {now!r} today")
    elif own_files(here.methods.find(record.job.method)) and (reason := sighted(record, submission)):
        yield Refusal("blind", named, reason)


def sighted(record: Record, submission: Submission) -> str:
    """Why the scores of a record do not follow from images alone; empty where they do."""
    job, here = record.job, submission.with_code(record)
    dataset, split = here.dataset(parse_spec(job.dataset)), submission.split(record)
    test = dataset.images[split.test]
    if job.corruption:
        test = parse_corruption(job.corruption)(test, split.test_labels, split.test, dataset.name)
    try:
        scores = blind_scores(job, here, np.asarray(dataset.images[split.train]), np.asarray(test))
    except BenchError as error:
        return f"with images alone it fails: {error}"
    found = auroc(split.test_labels, scores)
    if abs(found - record.metrics["auroc"]) <= ELSEWHERE:
        return ""
    return f"with images alone its AUROC is {found:.4f}, the record says {record.metrics['auroc']:.4f}"
