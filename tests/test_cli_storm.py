"""The worst that a machine does to a run: random kills, a full disk, a folder that takes nothing, damaged records."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cli import CLASSES, Bench

pytestmark = pytest.mark.slow

SHORT = "gated(pause=0.05)"
JOBS = 200
SEEDS = str(JOBS // 10)
DRIVER_KILLS = 5
EVERY = 2.0
"""Seconds between two kills of a worker."""


@contextlib.contextmanager
def workers_killed(bench: Bench) -> Iterator[list[int]]:
    """A block in which a random worker of the command's is killed every two seconds; yields those killed so far."""
    chance, over, killed = random.Random(4), threading.Event(), []

    def storm() -> None:
        while not over.wait(EVERY):
            if workers := bench.processes(worker=True):
                victim = chance.choice(workers)
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.kill()
                    killed.append(victim.pid)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_nothing_is_lost_or_done_twice_while_workers_and_drivers_are_killed(bench: Bench, tmp_path: Path) -> None:
    calm = bench.elsewhere(tmp_path / "calm")
    assert calm.digits(SHORT, CLASSES, "--seeds", SEEDS).returncode == 0
    with workers_killed(bench) as killed:
        for kill in range(DRIVER_KILLS):
            before = bench.files()
            run = bench.start_digits(SHORT, CLASSES, "--seeds", SEEDS, "--rerun", "failed")
            run.until(lambda kill=kill: len(killed) > 2 * kill and len(bench.records()) > kill)
            run.kill()
            bench.all_gone()
            done = {path for path in before if path.suffix == ".npz"}
            assert {path: before[path] for path in done}.items() <= bench.files().items()
    assert len(killed) >= 2 * DRIVER_KILLS - 1

    ended = bench.digits(SHORT, CLASSES, "--seeds", SEEDS, "--rerun", "failed")

    assert ended.returncode == 0, ended.stderr
    bench.all_gone()
    assert len(bench.files()) == 2 * JOBS
    assert len({record.job.key for record in bench.records()}) == JOBS
    assert {record.status for record in bench.records()} == {"done"}
    assert bench.scores() == calm.scores()


# ---------------------------------------------------------------------------------------------------------------------
# File systems


def in_own_mounts(bench: Bench, script: str) -> subprocess.CompletedProcess[str]:
    """A shell script that may mount what nobody else sees; ``bench`` in it is the command line."""
    command = " ".join([*bench.command("run", "--dataset", "digits", "--device", "cpu", "--profile", "cpu")])
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", f'run() {{ {command} --workers 1 "$@"; }}\n{script}'],
        cwd=bench.folder,
        env=bench.all_variables(),
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_a_full_disk_ends_the_run_with_a_clear_error_and_room_lets_it_go_on(bench: Bench) -> None:
    script = """
        mkdir -p results/runs && mount -t tmpfs -o size=96k none results/runs || exit 99
        run --methods mean_image --seeds 4; echo "first: $?"
        mkdir full && cp -r results/runs/* full/
        mount -o remount,size=50m results/runs
        run --methods mean_image --seeds 4 --quiet; echo "second: $?"
        mkdir whole && cp -r results/runs/* whole/
    """
    ended = in_own_mounts(bench, script)
    assert "first: 2" in ended.stdout, ended.stderr
    assert "second: 0" in ended.stdout, ended.stderr
    assert "No space left on device" in ended.stderr
    assert "the same command goes on" in ended.stderr or "it goes on where it stopped" in ended.stderr
    assert "Traceback" not in ended.stderr
    at_first = {path.name for path in (bench.folder / "full").rglob("[!.]*.json")}
    in_the_end = {path.name for path in (bench.folder / "whole").rglob("[!.]*.json")}
    assert 0 < len(at_first) < len(in_the_end) == 40
    assert at_first < in_the_end
    for name in ("full", "whole"):
        shutil.move(bench.folder / name, bench.store.folder)
        for record in bench.records():
            assert len(bench.store.scores(record)["scores"]) == record.split["test"]
        assert not list(bench.store.folder.rglob("*.tmp"))
        shutil.rmtree(bench.store.folder)


def test_a_results_folder_that_takes_nothing_is_refused_before_anything_is_computed(bench: Bench) -> None:
    script = """
        mkdir -p results/runs && mount -t tmpfs -o size=1m none results/runs || exit 99
        mount -o remount,ro results/runs; run --methods mean_image; echo "ended: $?"
    """
    ended = in_own_mounts(bench, script)
    assert "ended: 2" in ended.stdout, ended.stderr
    assert "cannot write to the results folder results/runs" in ended.stderr
    assert "name another with --results" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_damaged_records_and_those_of_a_later_version_are_named_and_hinder_nothing(bench: Bench) -> None:
    assert bench.digits("mean_image", "0,1,2").returncode == 0
    first, second, third = [bench.store.path(record.job) for record in bench.records()]
    whole = first.read_text()
    first.write_text(whole[: len(whole) // 2])
    second.write_text(json.dumps({**json.loads(second.read_text()), "schema": 99}))

    shown = bench("status")
    assert shown.returncode == 0, shown.stderr
    assert first.name in shown.stdout
    assert "schema 99 is not known to this version, which writes 2; upgrade bench" in shown.stdout
    table = bench("table", "--results", "results/runs", "quickstart")
    assert first.name in table.stderr

    ended = bench.digits("mean_image", "0,1,2")
    assert ended.returncode == 0, ended.stderr
    assert f"{first.name} cannot be used" in ended.stderr
    assert "3 jobs, 1 recorded, 2 to run" in ended.stderr
    assert third.exists()
    assert len(bench.records()) == 3
