"""Hand-made records for the tests of the store and of the reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.jobs import Job
from bench.metrics import auroc
from bench.record import Record
from bench.store import Store

JOB: dict[str, Any] = {
    "method": "ocsvm",
    "label": "ocsvm",
    "spec": "ocsvm",
    "method_version": "1",
    "fingerprint": "f" * 64,
    "dataset": "mnist",
    "dataset_checksum": "c" * 64,
    "protocol": "official_split",
    "protocol_version": 1,
    "normal_class": "3",
    "seed": 0,
    "profile": "paper",
    "max_train": None,
    "precision": "fp32",
}


def make_job(**overrides: Any) -> Job:
    """A job, some of its fields given; ``label`` and ``spec`` follow ``method`` where they are not."""
    method = overrides.get("method", JOB["method"])
    return Job(**{**JOB, "label": method, "spec": overrides.get("label", method), **overrides})


def make_record(
    *,
    auroc: float = 0.9,
    status: Any = "done",
    split: str | None = None,
    ended: str = "2025-01-01T00:00:00+00:00",
    normal_label: int | None = None,
    **job: Any,
) -> Record:
    """A record of ``make_job(**job)``. Only a done one has figures and a split, as in a real run."""
    made = make_job(**job)
    done = status == "done"
    facts: dict[str, Any] = {"fingerprint": split or f"split of {made.normal_class}, {made.seed}"}
    if normal_label is not None:
        facts["normal_label"] = normal_label
    return Record(
        job=made,
        status=status,
        split=facts if done else {},
        metrics={"auroc": auroc, "average_precision": auroc / 2, "fpr_at_95_tpr": 1 - auroc} if done else {},
        error=None if done else {"type": "ValueError", "message": "made to fail\nsecond line"},
        provenance={"ended": ended},
    )


def scored(labels: NDArray[Any], distance: float, number: int) -> NDArray[np.float64]:
    """Standard normal scores of images that are normal (0) or anomalous (1), the latter ``distance`` higher."""
    return np.random.default_rng(number).standard_normal(len(labels)) + distance * labels


def put_scored(store: Store, labels: NDArray[Any], scores: NDArray[np.float64], **facts: Any) -> Record:
    """Store a record with these scores and return it as it is read again.

    ``facts`` are those of ``make_record``, and of the record itself: cost, epochs and the like.
    """
    fields = {field.name for field in dataclasses.fields(Record)} - {"split", "job", "status"}
    changes = {name: facts.pop(name) for name in fields & facts.keys()}
    record = dataclasses.replace(make_record(auroc=auroc(labels, scores), **facts), **changes)
    store.put(record, {"scores": scores, "labels": labels, "indices": np.arange(len(labels))})
    found = store.get(record.job)
    assert found is not None
    return found


QUICKSTART: dict[str, Any] = {"dataset": "digits", "protocol": "holdout_80_20", "profile": "cpu"}
"""What ``make_record`` takes for records of the suite quickstart."""


def put_quickstart(
    store: Store, labels: NDArray[Any], methods: Mapping[str, Mapping[str, Any]], classes: int, **facts: Any
) -> None:
    """Store runs of methods on so many digits, two seeds each; the earlier a method, the better its scores.

    ``methods`` has, by name, what the records of that method alone have; ``facts`` are those of all.
    """
    for place, (method, own) in enumerate(methods.items()):
        for number in range(2 * classes):
            digit, seed = divmod(number, 2)
            scores = scored(labels, 2 - place / 2, 100 * place + number)
            job = {**QUICKSTART, "method": method, "normal_class": str(digit), "normal_label": digit, "seed": seed}
            put_scored(store, labels, scores, **job, **facts, **own)
