"""Runs that are killed, interrupted or doubled leave whole records, and the same command goes on with the rest."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest
from cli import CLASSES, GATED, METHODS, Bench, Gate

pytestmark = pytest.mark.slow

KILLS = 10


@pytest.fixture
def gate(bench: Bench) -> Gate:
    gate = Gate(bench.folder / "gate")
    bench.environment |= gate.environment
    return gate


def test_a_run_killed_ten_times_ends_with_the_records_and_the_scores_of_an_undisturbed_one(
    bench: Bench, undisturbed: Bench
) -> None:
    moments = random.Random(20)
    for kill in range(KILLS):
        finished = bench.files()
        run = bench.start_digits(f"ocsvm,{GATED}" if kill < KILLS - 2 else METHODS, CLASSES, "--seeds", "2")
        # anywhere from the first worker's birth to some records later
        wanted = len(bench.records()) + moments.randrange(4)
        run.until(lambda wanted=wanted: bool(bench.processes(worker=True)) and len(bench.records()) >= wanted)
        with pytest.raises(subprocess.TimeoutExpired):
            run.driver.wait(moments.uniform(0.0, 0.2))
        workers = bench.processes(worker=True)
        run.kill()
        if kill % 2:  # else they have to notice by themselves
            for worker in workers:
                worker.kill()
        bench.all_gone()
        assert finished.items() <= bench.files().items()
        assert len(bench.scores()) == len(bench.records()) >= wanted
    finished = bench.files()
    assert len(finished) >= 2 * KILLS

    ended = bench.digits(METHODS, CLASSES, "--seeds", "2")

    assert ended.returncode == 0, ended.stderr
    assert f"60 jobs, {len(finished) // 2} recorded, {60 - len(finished) // 2} to run" in ended.stderr
    assert finished.items() <= bench.files().items()
    assert len(bench.files()) == 2 * 60
    assert bench.scores() == undisturbed.scores()


def test_a_worker_that_is_killed_in_mid_job_is_replaced_and_its_job_repeated(
    bench: Bench, gate: Gate, undisturbed: Bench
) -> None:
    run = bench.start_digits(f"ocsvm,{GATED}", "0,1")
    run.until(lambda: len(gate.waiting()) == 2)
    victim = gate.waiting()[0]
    os.kill(victim, signal.SIGKILL)
    gate.open()
    assert run.ended() == 0, run.stderr
    assert bench.scores().items() <= undisturbed.scores().items()
    attempts = [attempt for record in bench.records() for attempt in record.attempts]
    assert [attempt["status"] for attempt in attempts] == ["killed"]
    assert "SIGKILL" in attempts[0]["message"]
    assert len(gate.waiting()) == 3
    bench.all_gone()


def started(bench: Bench) -> list[str]:
    """The keys of all jobs that were started, by whichever run, sorted."""
    return sorted(event["key"] for event in bench.events() if event["event"] == "started")


@pytest.mark.parametrize("rerun", ["missing", "all"])
def test_two_runs_at_once_on_one_results_folder_do_each_job_once(
    bench: Bench, gate: Gate, undisturbed: Bench, rerun: str
) -> None:
    grid = (f"{GATED},ocsvm", "0,1,2", "--workers", "1", "--rerun", rerun)
    first, second = bench.start_digits(*grid), bench.start_digits(*grid)
    first.until(lambda: len(gate.waiting()) == 2)  # each with a worker of its own
    under_way = {event["key"] for event in bench.events() if event["event"] == "started"}
    shown = json.loads(bench("status", "--json").stdout)["running"]
    assert {claim["key"] for claim in shown} <= under_way
    assert len([line for line in bench("status").stdout.splitlines() if line.startswith("running   ")]) == 2
    gate.open()
    assert (first.ended(), second.ended()) == (0, 0), first.stderr + second.stderr
    assert started(bench) == sorted(record.job.key for record in bench.records())
    assert len(bench.scores()) == 6
    assert bench.scores().items() <= undisturbed.scores().items()
    ended = [event for event in bench.events() if event["event"] == "ended"]
    assert sum(not event["elsewhere"] for event in ended) == 6
    assert sum(event["elsewhere"] for event in ended) == 6
    counts = [re.findall(r"(\d) of 6 jobs were done by another run on results/runs", r.stderr) for r in (first, second)]
    assert sum(int(count) for (count,) in counts) == 6
    assert first.stdout == second.stdout, "both print the whole table"
    assert list((bench.store.folder / "claims").iterdir()) == []


def test_a_run_takes_over_the_job_of_another_that_was_killed(bench: Bench, gate: Gate, undisturbed: Bench) -> None:
    first = bench.start_digits(GATED, "0")
    first.until(lambda: len(gate.waiting()) == 1)
    second = bench.start_digits(GATED, "0")
    second.until(lambda: "waiting for 1 job of another run: process " in second.stderr)
    first.kill()
    second.until(lambda: len(gate.waiting()) == 2)
    gate.open()
    assert second.ended() == 0, second.stderr
    assert bench.scores().items() <= undisturbed.scores().items()
    assert started(bench) == [bench.record(GATED).job.key] * 2
    assert "done by another run" not in second.stderr
    bench.all_gone()


def test_what_is_left_of_a_killed_run_is_in_nobodys_way(bench: Bench, gate: Gate) -> None:
    run = bench.start_digits(GATED, "0,1")
    run.until(lambda: len(gate.waiting()) == 2)
    run.kill()
    bench.all_gone()
    assert len(list((bench.store.folder / "claims").iterdir())) == 2
    assert "running" not in bench("status").stdout
    assert bench("gc").stdout.count("leftover    results/runs/claims/") == 2
    gate.open()
    assert bench.digits(GATED, "0").returncode == 0
    assert "0 superseded records and 1 leftover files removed" in bench("gc", "--yes").stdout
    assert list((bench.store.folder / "claims").iterdir()) == []


def test_a_run_that_waits_for_another_stops_soon_when_asked_and_leaves_that_ones_claim(
    bench: Bench, gate: Gate
) -> None:
    first = bench.start_digits(GATED, "0")
    first.until(lambda: len(gate.waiting()) == 1)
    second = bench.start_digits(GATED, "0")
    second.until(lambda: "waiting for 1 job of another run" in second.stderr)
    second.driver.send_signal(signal.SIGINT)
    assert second.ended() == 130, second.stderr
    gate.open()
    assert first.ended() == 0, first.stderr
    assert len(started(bench)) == 1


def test_ctrl_c_and_sigterm_stop_a_run_soon_and_the_same_command_goes_on(
    bench: Bench, gate: Gate, undisturbed: Bench
) -> None:
    grid = (f"ocsvm,{GATED}", "0,1,2")
    assert bench.digits("ocsvm", "0,1").returncode == 0
    for asked, code, workers in ((signal.SIGINT, 130, 2), (signal.SIGTERM, 143, 4)):
        run = bench.start_digits(*grid)
        run.until(lambda workers=workers: len(gate.waiting()) == workers)
        asked_at = time.monotonic()
        run.driver.send_signal(asked)
        assert run.ended() == code, run.stderr
        assert time.monotonic() - asked_at < 10
        bench.all_gone()
        assert sorted(record.job.title for record in bench.records()) == [
            "ocsvm on digits, class 0, seed 0",
            "ocsvm on digits, class 1, seed 0",
        ]
        assert "stopped: 4 jobs are left; the same command goes on with them" in run.stderr
        assert "Traceback" not in run.stderr
    finished = bench.files()
    gate.open()

    ended = bench.digits(*grid)

    assert ended.returncode == 0, ended.stderr
    assert finished.items() <= bench.files().items()
    assert len(bench.records()) == 6
    assert bench.scores().items() <= undisturbed.scores().items()


def test_hammering_on_ctrl_c_leaves_no_worker_and_no_half_record_behind(bench: Bench, gate: Gate) -> None:
    run = bench.start_digits(GATED, "0,1")
    run.until(lambda: len(gate.waiting()) == 2)
    while run.driver.poll() is None:
        run.driver.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.driver.wait(0.02)
    bench.all_gone()
    assert bench.records() == []
    assert run.driver.returncode in (130, -signal.SIGINT)
