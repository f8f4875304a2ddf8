"""Runs that are killed, interrupted or doubled leave whole records, and the same command goes on with the rest."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time

import pytest
from cli import CLASSES, GATED, METHODS, Bench, Gate

KILLS = 10


@pytest.fixture
def gate(bench: Bench) -> Gate:
    gate = Gate(bench.folder / "gate")
    bench.environment |= gate.environment
    return gate


@pytest.mark.slow
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


def test_two_runs_at_once_on_one_results_folder_share_the_work(bench: Bench, gate: Gate, undisturbed: Bench) -> None:
    grid = (f"{GATED},ocsvm", "0,1,2", "--workers", "1")
    first, second = bench.start_digits(*grid), bench.start_digits(*grid)
    first.until(lambda: len(gate.waiting()) == 2)  # both are in the same job, each with a worker of its own
    gate.open()
    assert (first.ended(), second.ended()) == (0, 0), first.stderr + second.stderr
    assert len(bench.records()) == 6
    assert len(bench.scores()) == 6
    assert bench.scores().items() <= undisturbed.scores().items()


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
