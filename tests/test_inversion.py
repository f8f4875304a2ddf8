"""Scores below chance are told of where the test images leave no doubt, and nowhere else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from records import make_record, put_scored, scored

from bench.errors import RecordUnreadable
from bench.record import Arrays, Record
from bench.report.statistics.inversion import Inversion, inversion_notes, inversions
from bench.store import Store

LABELS = np.repeat(np.array([0, 1], dtype=np.uint8), 200)


def put(store: Store, distance: float, **facts: object) -> Record:
    """A record whose anomalies score so many deviations higher; negative: lower."""
    return put_scored(store, LABELS, scored(LABELS, distance, sum(map(ord, str(facts)))), **facts)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_class_is_inverted_where_every_seed_is_significantly_below_chance(store: Store) -> None:
    for seed in (0, 1):
        put(store, -1.0, method="likelihood", normal_class="8", seed=seed)
        put(store, -1.0 if seed else 1.0, method="torn", normal_class="8", seed=seed)
        put(store, 1.0, method="likelihood", normal_class="0", seed=seed)
        put(store, -0.02, method="coin", normal_class="8", seed=seed)
    records, _ = store.records()
    (found,) = inversions(records, store.scores)
    assert (found.label, found.normal_class) == ("likelihood", "8")
    assert found.auroc == pytest.approx(0.24, abs=0.05)


def test_without_scores_the_widest_interval_of_such_an_auroc_decides() -> None:
    def unreadable(record: Record) -> Arrays:
        raise RecordUnreadable("gone")

    def record(auroc: float, images: int) -> Record:
        made = make_record(auroc=auroc)
        return dataclasses.replace(made, split={**made.split, "test": 2 * images, "anomalous": images})

    assert inversions([record(0.45, 1000)], unreadable)
    assert not inversions([record(0.45, 100)], unreadable)
    assert not inversions([make_record(auroc=0.1)], unreadable), (
        "a record that does not tell how many images there were"
    )


def test_a_failed_record_inverts_nothing(store: Store) -> None:
    put(store, -1.0, seed=0)
    records, _ = store.records()
    assert inversions([*records, make_record(status="failed", seed=1)], store.scores)


def test_a_table_names_methods_with_their_classes_and_what_it_most_often_means() -> None:
    found = [Inversion("vae", "1", 0.3), Inversion("vae", "2", 0.41), Inversion("pixelcnn", "1", 0.2)]
    (note,) = inversion_notes(found)
    assert note.startswith("significantly below 0.5: vae on 1 (0.300), 2 (0.410); pixelcnn on 1 (0.200): most often")
    assert inversion_notes([]) == []
