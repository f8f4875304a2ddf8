"""One fit for many tests: jobs that differ in their test images alone share a detector, and none shows it."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cli import PLUGINS, TINY_AE, Bench
from hypothesis import given
from hypothesis import strategies as st
from projects import Project
from records import make_job

from bench.execution import cluster
from bench.execution.fits import Fits
from bench.execution.measurement import measure
from bench.execution.messages import Outcome, Task
from bench.execution.run import plan
from bench.execution.waiting import Waiting
from bench.jobs import Job, Request, expand
from bench.record import FITTED_FOR
from bench.specs import parse_spec
from bench.workspace import open_workspace

CORRUPTIONS = ("", "gaussian_noise(severity=3)", "jpeg(only='normal',severity=5)")
METHODS = (TINY_AE, "ocsvm", "drawing")


@pytest.fixture
def tasks(project: Project, digits_data: Path) -> Callable[..., list[Task]]:
    """A task for each corruption of a method, on one class of digits."""

    def asked(method: str, corruptions: Sequence[str] = CORRUPTIONS, trace: bool = False) -> list[Task]:
        project.write("bench.toml", f"[plugins]\nmethods = ['{PLUGINS}']\n")
        workspace = open_workspace(data=digits_data)
        wanted = Request(
            dataset="digits", methods=method, classes="3", seeds="0,", profile="cpu", corruption=corruptions
        )
        folder = workspace.dataset(parse_spec("digits")).folder
        folders = workspace.config.plugins.methods
        return [Task(job, folder, folders, shares_fit=True, trace=trace) for job in expand(wanted, workspace)]

    return asked


def measured(task: Task, fits: Fits | None = None) -> Outcome:
    return measure(task, lambda epoch: None, fits)


def told(outcome: Outcome) -> tuple[object, ...]:
    """What an outcome tells that no clock has a part in."""
    assert outcome.arrays is not None, outcome.error
    arrays = {name: values.tobytes() for name, values in outcome.arrays.items()}
    steps = {name: outcome.cost.get(name) for name in ("steps", "parameters")}
    return arrays, outcome.metrics, outcome.epochs, outcome.split, outcome.parameters, outcome.ledger, steps


@pytest.mark.slow
def test_a_shared_fit_gives_the_scores_of_jobs_that_are_run_alone_in_whatever_order(
    tasks: Callable[..., list[Task]],
) -> None:
    asked = [tasks(method) for method in METHODS]
    alone = {task.job.key: told(measured(task)) for task in itertools.chain(*asked)}
    assert len({str(each[0]) for each in alone.values()}) == len(alone), "no two jobs have the same scores"
    fits = Fits()
    for own in asked:
        fitted, *others = [measured(task, fits) for task in own]
        assert FITTED_FOR not in fitted.provenance
        assert {other.provenance[FITTED_FOR] for other in others} == {own[0].job.key}
        assert {other.cost["fit_seconds"] for other in others} == {fitted.cost["fit_seconds"]}
        assert [told(outcome) for outcome in (fitted, *others)] == [alone[task.job.key] for task in own]
    for task in itertools.chain(*zip(*asked, strict=True), reversed(asked[-1])):
        assert told(measured(task, fits)) == alone[task.job.key]


def test_what_is_another_fit_is_never_taken_for_the_same(tasks: Callable[..., list[Task]]) -> None:
    fits = Fits()
    (first, second, third), traced = tasks("drawing"), tasks("drawing", trace=True)[1]
    measured(first, fits)
    assert FITTED_FOR not in measured(traced, fits).provenance, "a trace tests between epochs"
    assert FITTED_FOR not in measured(second, fits).provenance, "only the last fit is kept"
    assert FITTED_FOR in measured(third, fits).provenance


@pytest.mark.parametrize("spec", ["drawing(holds='a lock')", "drawing(breaks=110.0)"])
def test_a_detector_that_fails_or_cannot_be_kept_is_fitted_for_each_job(
    tasks: Callable[..., list[Task]], spec: str
) -> None:
    asked = tasks(spec, ("", "brightness(severity=5)", "gaussian_noise(severity=3)"))
    fits = Fits()
    outcomes = [measured(task, fits) for task in asked]
    assert FITTED_FOR not in outcomes[2].provenance
    assert [outcome.status for outcome in outcomes] == (["done"] * 3 if "lock" in spec else ["done", "failed", "done"])
    assert told(outcomes[2]) == told(measured(asked[2]))


@pytest.mark.slow
def test_a_run_fits_once_for_all_tests_of_a_class_on_one_slot_though_a_worker_is_killed(
    bench: Bench, tmp_path: Path
) -> None:
    bench.environment["BENCH_TEST_FITS"] = str(tmp_path / "fits")
    corruptions = [f"gaussian_noise(severity={severity})" for severity in range(1, 6)]
    grid = ("drawing,gated(pause=0.5)", "0,1")
    run = bench.start_digits(*grid, "--corruption", ",".join(corruptions))
    run.until(lambda: len(bench.records()) >= 3)
    victims = bench.processes(worker=True)
    os.kill(victims[0].pid, signal.SIGKILL)
    assert run.ended() == 0, run.stderr
    records = bench.records()
    assert len(records) == 20
    shared = [record for record in records if FITTED_FOR in record.provenance]
    fitted = {record.job.key: record for record in records if FITTED_FOR not in record.provenance}
    assert len(fitted) <= 4 + 1, "a class of a method, and once more what was killed"
    assert len((tmp_path / "fits").read_text().splitlines()) <= 2 + 1
    for record in shared:
        first = fitted[record.provenance[FITTED_FOR]]
        assert (record.job.method, record.job.normal_class) == (first.job.method, first.job.normal_class)
        assert record.provenance["slot"] == first.provenance["slot"]
        assert record.cost["fit_seconds"] == first.cost["fit_seconds"]
        assert (
            record.own_seconds
            < record.seconds
            == pytest.approx(record.cost["fit_seconds"] + record.cost["score_seconds"])
        )
    alone = bench.elsewhere(tmp_path / "alone")
    assert alone.digits(*grid, "--corruption", corruptions[1]).returncode == 0
    assert len(alone.scores()) == 4
    assert alone.scores().items() <= bench.scores().items()


@given(groups=st.lists(st.integers(0, 3), max_size=12), takers=st.lists(st.integers(0, 2), min_size=40, max_size=40))
def test_tasks_of_one_fit_go_to_one_taker_and_keep_no_other_waiting(groups: list[int], takers: list[int]) -> None:
    severities = itertools.count(1)
    tasks = [
        Task(make_job(seed=group, corruption=f"jpeg(severity={next(severities)})"), Path(), [], shares_fit=group > 0)
        for group in groups
    ]
    line, who = Waiting(tasks), dict[str, set[int]]()
    taken: list[Task] = []
    for taker in [*takers, *(taker for taker in range(3) for _ in tasks)]:
        left = [task for task in tasks if task not in taken]
        task = line.take(taker)
        if task is None:
            held = [each for each in left if each.shares_fit]
            assert all(who.get(each.job.fit_key, {taker}) != {taker} for each in held)
            assert held == left, "what shares no fit waits for nobody"
            continue
        taken.append(task)
        if task.shares_fit:
            who.setdefault(task.job.fit_key, set()).add(taker)
    assert len(taken) == len(tasks)
    assert all(len(each) == 1 for each in who.values())


@pytest.mark.slow
def test_jobs_of_a_fit_come_one_after_another_and_the_later_ones_are_expected_to_score_alone(
    bench: Bench, tasks: Callable[..., list[Task]]
) -> None:
    asked = Request(
        dataset="digits",
        methods="drawing,gated",
        classes="3,5",
        seeds="0,",
        profile="cpu",
        corruption=CORRUPTIONS,
    )
    assert bench.digits("drawing,gated", "0").returncode == 0
    tasks("drawing")  # which writes the project's bench.toml
    workspace = open_workspace(results=bench.store.folder, data=bench.data)
    jobs = expand(asked, workspace)
    assert {job.fit_key for job in jobs} == {job.key for job in jobs if not job.corruption}
    planned = plan(jobs, workspace, "cpu")
    groups = [list(own) for _, own in itertools.groupby(planned.pending, key=lambda job: job.fit_key)]
    assert [len(own) for own in groups] == [3] * 4
    (record, *_) = [r for r in bench.records() if r.job.method == "gated"]
    for first, *others in (own for own in groups if own[0].method == "gated"):
        assert planned.expected[first.key] == pytest.approx(record.seconds, rel=0.5)
        for other in others:
            assert planned.expected[other.key] < record.cost["fit_seconds"]


def test_a_node_gives_a_task_to_the_worker_that_has_made_its_fit() -> None:
    pool = cluster._Pool()
    first, second = pool.take("cpu", ""), pool.take("cpu", "")
    first.fit_key, second.fit_key = "a", "b"
    for supervisor in (first, second):
        pool.give_back(supervisor)
    assert pool.take("cpu", "b") is second
    pool.give_back(second)
    assert pool.take("cpu", "c") in (first, second)
    pool.close()


def test_what_is_done_to_test_images_is_no_part_of_a_fit_and_all_else_is() -> None:
    def fit_key(**facts: object) -> str:
        job: Job = make_job(**facts)
        return job.fit_key

    assert fit_key(corruption="jpeg(severity=3)") == fit_key() == make_job().key
    others = [{"seed": 1}, {"contamination": 0.1}, {"normal_class": "x"}, {"max_train": 9}, {"spec": "other"}]
    assert len({fit_key(), *(fit_key(**each) for each in others)}) == 1 + len(others)
