"""What a training keeps to go on from, and the file that it goes into."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from records import make_record
from torch import Tensor, nn

from bench.checkpoints import Keeper, Snapshot, begun, remember
from bench.execution.messages import Task
from bench.execution.resuming import Checkpoint
from bench.method import Epoch, EpochMethod, FitContext
from bench.training import adam, minimise, train


class Clock:
    """Seconds that a test says."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def trained(keeper: Keeper | None, epochs: int = 4, most: int | None = None) -> tuple[nn.Module, list[Epoch]]:
    """A small network, and the epochs of its training that were handed out."""
    torch.manual_seed(0)
    network = nn.Linear(6, 6)
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 3, 1), dtype=np.uint8)
    handed_out: list[Epoch] = []

    def course() -> None:
        optimiser = adam(network.parameters(), lr=1e-2)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            rows = x.flatten(1) + 0.1 * torch.randn(len(x), 6)
            loss = (network(rows) - rows).square().mean()
            minimise(loss, optimiser)
            return {"error": loss}

        for epoch in train(network, step, images, epochs=epochs, batch_size=4, context=FitContext(seed=0)):
            handed_out.append(epoch)
            if epoch.number == most:
                return

    if keeper is None:
        course()
    else:
        with keeper.listening():
            course()
    return network, handed_out


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_training_goes_on_after_any_epoch_bit_for_bit(cut: int) -> None:
    usual, epochs = trained(None)
    kept = Keeper(0.0)
    trained(kept, most=cut)
    resumed, handed_out = trained(Keeper(math.inf, kept.snapshots))
    assert [epoch.repeated for epoch in handed_out] == [True, *[False] * (4 - cut)]
    assert [epoch.losses for epoch in handed_out] == [epoch.losses for epoch in epochs[cut - 1 :]]
    for name, weight in usual.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name])


def test_a_state_is_taken_when_it_is_time_and_when_a_training_ends() -> None:
    clock = Clock()
    keeper = Keeper(10.0, now=clock)
    with keeper.listening():
        training = begun(nn.Linear(1, 1))
        for number, seconds, due in ((1, 5.0, False), (2, 10.0, True), (3, 15.0, True), (4, 16.0, True)):
            clock.seconds = seconds
            training.ended(Epoch(number, 4))
            assert keeper.due == due
            assert keeper.snapshots == {} or keeper.snapshots[0].epoch.number == (4 if number == 4 else 2)


def test_nothing_is_kept_where_nobody_listens() -> None:
    network = nn.Linear(1, 1)
    assert remember(network) is network
    training = begun(network)
    assert training.resumed is None
    assert training.ended(Epoch(1, 1)) == Epoch(1, 1)


def test_what_has_no_state_cannot_be_remembered() -> None:
    with Keeper(0.0).listening(), pytest.raises(TypeError, match="state_dict and load_state_dict, is remembered; not"):
        remember([1, 2])


def test_a_tensor_and_gradients_are_put_back_in_place() -> None:
    radius, network = torch.zeros(()), nn.Linear(2, 1)
    kept = Keeper(0.0)
    with kept.listening():
        remember(radius)
        training = begun(network)
        radius.fill_(3.0)
        network(torch.ones(1, 2)).sum().backward()
        training.ended(Epoch(1, 2))
    gradient = network.weight.grad
    again, other = torch.zeros(()), nn.Linear(2, 1)
    with Keeper(math.inf, kept.snapshots).listening():
        remember(again)
        assert begun(other).resumed == Epoch(1, 2, repeated=True)
    assert again.item() == 3.0
    assert gradient is not None
    assert torch.equal(other.weight, network.weight)
    assert torch.equal(other.weight.grad, gradient)


# ---------------------------------------------------------------------------------------------------------------------
# The file


class Resumable(EpochMethod):
    resumable = True

    def fit_epochs(self, images: Any, context: FitContext) -> Any:
        yield from ()

    def score(self, images: Any) -> Any:
        return np.zeros(len(images))


def task(folder: Path, **changes: Any) -> Task:
    options = {"checkpoints": folder / "results" / "checkpoints", "checkpoint_seconds": 1e-9, **changes}
    return Task(make_record(label="vae").job, folder, [], **options)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A results folder with a checkpoint of the task after two epochs."""
    (tmp_path / "results").mkdir()
    checkpoint = Checkpoint(task(tmp_path), Resumable())
    assert checkpoint.keeper is not None
    checkpoint.progress.epochs += [{"epoch": 1, "losses": {}}, {"epoch": 2, "losses": {}}]
    checkpoint.keeper.snapshots[0] = Snapshot(Epoch(2, 5, {"error": 0.5}), [{"weight": torch.ones(2)}])
    checkpoint.keeper.due = True
    checkpoint.keep(seconds=7.0)
    return tmp_path


def test_a_checkpoint_brings_what_the_harness_had_noted_and_the_states(kept: Path) -> None:
    checkpoint = Checkpoint(task(kept), Resumable())
    assert checkpoint.keeper is not None
    assert [epoch["epoch"] for epoch in checkpoint.progress.epochs] == [1, 2]
    assert (checkpoint.progress.seconds, checkpoint.progress.resumed) == (7.0, 1)
    assert checkpoint.keeper.snapshots[0].epoch == Epoch(2, 5, {"error": 0.5})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:200]), "cannot be read"),
        (lambda file: file.write_bytes(b""), "cannot be read"),
        (lambda file: torch.save({"identity": 1}, file), "is no checkpoint"),
        (lambda file: torch.save([1], file), "is no checkpoint"),
    ],
)
def test_a_file_that_is_none_is_told_and_passed_over(
    kept: Path, change: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (kept / "results" / "checkpoints").iterdir()
    change(file)
    checkpoint = Checkpoint(task(kept), Resumable())
    assert checkpoint.keeper is not None
    assert (checkpoint.keeper.snapshots, checkpoint.progress.resumed) == ({}, 0)
    assert said in capsys.readouterr().out


def test_a_training_without_a_trace_is_no_beginning_of_one_with_it(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Checkpoint(task(kept, trace=True), Resumable())
    assert checkpoint.progress.resumed == 0
    assert "begun anew" in capsys.readouterr().out


def test_nothing_is_kept_of_what_cannot_go_on_or_need_not(kept: Path) -> None:
    class Another(Resumable):
        resumable = False

    assert Checkpoint(task(kept), Another()).keeper is None
    assert Checkpoint(task(kept, checkpoint_seconds=0.0), Resumable()).keeper is None
    assert Checkpoint(task(kept, checkpoints=None), Resumable()).keeper is None
    assert Checkpoint(task(kept / "nowhere"), Resumable()).keeper is None


def test_a_disk_that_takes_no_file_costs_the_checkpoint_alone(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = Checkpoint(task(kept), Resumable())
    assert checkpoint.keeper is not None
    (file,) = (kept / "results" / "checkpoints").iterdir()
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("a file where the folder was")
    checkpoint.keeper.due = True
    checkpoint.keep(1.0)
    assert "this checkpoint was not kept" in capsys.readouterr().out
