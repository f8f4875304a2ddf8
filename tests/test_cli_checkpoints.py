"""A job that is killed in the middle of its training goes on from its checkpoint, bit for bit as undisturbed."""

from __future__ import annotations

import os
import signal

import pytest
from cli import Bench

TRAININGS = {
    "shared_ae(batch_size=64,epochs=60,image_size=8,latent=4,width=4)": 30,
    "skip_ganomaly(batch_size=64,epochs=40,latent=4,width=4)": 20,
    "deep_svdd(batch_size=64,epochs=60,objective='soft-boundary',pretrain_epochs=20,pretrain_milestone=10)": 45,
}
"""Methods, and after how many epochs they are killed: the last one in its second training."""


def epochs_done(bench: Bench) -> int:
    return max((event["number"] for event in bench.events() if event["event"] == "epoch"), default=0)


@pytest.fixture
def whole(bench: Bench) -> Bench:
    """The same jobs in another folder, left alone."""
    return bench.elsewhere(bench.folder / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "epoch"), TRAININGS.items(), ids=[name.partition("(")[0] for name in TRAININGS])
def test_a_run_that_is_killed_in_mid_training_goes_on_from_its_checkpoint(
    bench: Bench, whole: Bench, method: str, epoch: int
) -> None:
    grid = (method, "0", "--seeds", "1", "--set", f"{method.partition('(')[0]}.min_steps=0", "--trace")
    run = bench.start_digits(*grid, "--checkpoint", "1e-9")
    run.until(lambda: epochs_done(bench) >= epoch)
    run.kill()
    bench.all_gone()
    assert bench.records() == []
    (kept,) = (bench.store.folder / "checkpoints").glob("*.pt")

    ended = bench.digits(*grid, "--checkpoint", "10")

    assert ended.returncode == 0, ended.stderr
    assert whole.digits(*grid).returncode == 0
    (record,), (undisturbed,) = bench.records(), whole.records()
    assert record.provenance["resumed"] == 1
    assert "resumed" not in undisturbed.provenance
    assert record.epochs == undisturbed.epochs
    assert record.cost["steps"] == undisturbed.cost["steps"]
    assert bench.scores() == whole.scores()
    assert not kept.exists()


@pytest.mark.slow
def test_a_worker_that_is_killed_in_mid_training_costs_what_came_after_the_checkpoint(
    bench: Bench, whole: Bench
) -> None:
    method, epoch = next(iter(TRAININGS.items()))
    grid = (method, "0", "--seeds", "1")
    run = bench.start_digits(*grid, "--checkpoint", "1e-9")
    run.until(lambda: epochs_done(bench) >= epoch)
    for worker in bench.processes(worker=True):
        os.kill(worker.pid, signal.SIGKILL)
    assert run.ended() == 0, run.stderr
    assert whole.digits(*grid, "--checkpoint", "0").returncode == 0
    (record,) = bench.records()
    assert [attempt["status"] for attempt in record.attempts] == ["killed"]
    assert record.provenance["resumed"] == 1
    assert bench.scores() == whole.scores()
    assert not (whole.store.folder / "checkpoints").exists()


@pytest.mark.slow
def test_a_damaged_checkpoint_is_told_and_the_training_begun_anew(bench: Bench, whole: Bench) -> None:
    method, epoch = next(iter(TRAININGS.items()))
    grid = (method, "0", "--seeds", "1")
    run = bench.start_digits(*grid, "--checkpoint", "1e-9")
    run.until(lambda: epochs_done(bench) >= epoch)
    run.kill()
    bench.all_gone()
    (kept,) = (bench.store.folder / "checkpoints").glob("*.pt")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert bench.digits(*grid).returncode == 0
    assert whole.digits(*grid).returncode == 0
    (record,) = bench.records()
    assert "resumed" not in record.provenance
    assert bench.scores() == whole.scores()
