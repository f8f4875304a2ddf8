"""What jobs are expected to take, from hand-made records of jobs like them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project
from records import make_job, make_record

from bench.execution.estimates import EXPECTED, Accuracy, Estimates, Work, accuracy, makespan
from bench.execution.probe import from_trials
from bench.record import Record

SECONDS = st.lists(st.floats(0.01, 1000), min_size=1, max_size=30)


TESTED = 24
"""Test images of each class of ``animals``."""


def took(
    seconds: float,
    *,
    train: int = 100,
    epochs: int = 1,
    device: str = "cpu",
    expected: float | None = None,
    parameters: dict[str, Any] | None = None,
    **job: Any,
) -> Record:
    """A done record of ``animals`` whose method took so long, a tenth of it for scoring."""
    return dataclasses.replace(
        make_record(**{"dataset": "animals", "method": "mean", "normal_class": "ape", **job}),
        cost={"fit_seconds": 0.9 * seconds, "score_seconds": 0.1 * seconds},
        split={"fingerprint": "", "train": train, "test": TESTED},
        parameters={"epochs": epochs, **(parameters or {})},
        provenance={"device": device, EXPECTED: expected},
    )


@pytest.fixture
def estimated(project: Project) -> Any:
    """Seconds that a job of the project's method on its dataset is expected to take, given records."""
    project.write_plugins()
    workspace = project.workspace()

    def seconds(*records: Record, device: str = "cpu", **job: Any) -> float | None:
        asked = make_job(**{"dataset": "animals", "method": "mean", "normal_class": "ape", **job})
        return Estimates(records, workspace, lambda job: device).seconds(asked)

    return seconds


def test_a_job_takes_the_median_of_its_like_whatever_class_and_seed(estimated: Any) -> None:
    records = [took(s, seed=i, normal_class=c) for i, (s, c) in enumerate([(1.0, "ape"), (9.0, "bee"), (2.0, "cat")])]
    assert estimated(*records, seed=7) == pytest.approx(2.0)


def test_nothing_is_expected_where_nothing_is_known_of_the_method_on_that_device(estimated: Any) -> None:
    assert estimated() is None
    assert estimated(took(1.0, method="other")) is None
    assert estimated(took(1.0, device="cuda:0")) is None
    assert estimated(took(1.0, device="cuda:0"), device="cuda") == pytest.approx(1.0)
    assert estimated(dataclasses.replace(took(1.0), status="failed")) is None


def test_other_settings_are_reckoned_by_the_images_that_training_shows_and_by_those_that_are_scored(
    estimated: Any,
) -> None:
    """A class of animals has eight training images."""
    there = took(10.0, train=100, epochs=5, label="mean(power=1.0)")
    assert estimated(there) == pytest.approx(9.0 / 500 * 8 + 1.0)
    elsewhere = took(30.0, train=100, epochs=5, dataset="mnist")
    assert estimated(elsewhere) == pytest.approx(27.0 / 500 * 8 + 3.0)
    assert estimated(elsewhere, there) == pytest.approx(9.0 / 500 * 8 + 1.0), "the nearer record counts"
    assert estimated(elsewhere, there, took(4.0)) == pytest.approx(4.0), "and the same spec most of all"


def test_networks_of_another_size_or_kind_tell_nothing(estimated: Any) -> None:
    assert estimated(took(1.0, label="mean(power=1.0)", parameters={"width": 16})) is None
    assert estimated(took(1.0, label="mean(power=1.0)", parameters={"variant": "small"})) is None
    assert estimated(took(1.0, label="mean(power=1.0)", parameters={"power": 3.0, "lr": 0.1})) is not None


def test_steps_that_a_small_class_takes_at_least_count_as_the_images_that_they_show(estimated: Any) -> None:
    def fit(**length: Any) -> float:
        there = took(10.0, train=100, label="mean(power=1.0)")
        parameters = {**there.parameters, **length}
        seconds: float = estimated(dataclasses.replace(there, parameters=parameters))
        return seconds - 1.0

    assert fit(epochs=5) == pytest.approx(9.0 / (5 * 100) * 8)
    assert fit(epochs=5, min_steps=50) == pytest.approx(9.0 / (5 * 100) * 8), "without batches there are no steps"


@given(seconds=SECONDS, slots=st.integers(1, 8))
def test_the_makespan_lies_between_a_perfect_packing_and_one_job_more(seconds: list[float], slots: int) -> None:
    found = makespan(seconds, slots)
    assert found >= max(sum(seconds) / slots, max(seconds)) * (1 - 1e-9)
    assert found <= (sum(seconds) / slots + max(seconds)) * (1 + 1e-9)


@given(seconds=SECONDS, slots=st.integers(1, 8))
def test_the_longest_first_is_never_worse_than_four_thirds_of_what_is_possible(
    seconds: list[float], slots: int
) -> None:
    """Graham 1969: longest processing time first is within 4/3 of the optimum, and so of any other order's 4/3."""
    best_known = min(makespan(seconds, slots), makespan(sorted(seconds), slots))
    assert makespan(sorted(seconds, reverse=True), slots) <= 4 / 3 * best_known * (1 + 1e-9)


def test_the_accuracy_is_the_median_share_that_estimates_were_off(estimated: Any) -> None:
    records = [took(10.0, expected=12.0), took(10.0, expected=9.0), took(10.0, expected=15.0), took(10.0)]
    assert accuracy(records) == Accuracy(3, pytest.approx(0.2))  # type: ignore[arg-type]
    assert accuracy([took(10.0)]) is None


@given(begin=st.floats(0, 100), rate=st.floats(1e-6, 1), scoring=st.floats(1e-6, 1), shown=st.integers(100, 10**7))
def test_two_trials_tell_what_steps_take_and_what_it_takes_to_begin(
    begin: float, rate: float, scoring: float, shown: int
) -> None:
    works = [Work(200, 1000), Work(1000, 1000)]
    ended = [
        dataclasses.replace(
            make_record(), cost={"fit_seconds": begin + rate * work.shown, "images_per_second": 1 / scoring}
        )
        for work in works
    ]
    expected = begin + rate * shown + scoring * 50
    assert from_trials(Work(shown, 50), ended, works) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_trials_that_show_no_growth_count_whole() -> None:
    works = [Work(200, 10), Work(400, 10)]
    ended = [dataclasses.replace(make_record(), cost={"fit_seconds": s, "images_per_second": 10.0}) for s in (3.0, 2.0)]
    assert from_trials(Work(4000, 10), ended, works) == pytest.approx(21.0)
