"""The training loop and the scoring that all neural methods share."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.method import Epoch, FitContext
from bench.training import adam, autocast, scored, seeded, to_device, train


def numbered(n: int, channels: int = 1) -> np.ndarray:
    """Images of which each is filled with its number."""
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 2, 3, channels))


def recorded(n: int, *, seed: int = 0, **options: Any) -> tuple[list[list[int]], list[Epoch]]:
    """The batches that the steps saw, as numbers of images, and the epochs."""
    batches: list[list[int]] = []

    def step(batch: Tensor, epoch: Tensor) -> dict[str, Tensor]:
        batches.append(batch[:, 0, 0, 0].int().tolist())
        return {}

    arguments = {"epochs": 1, "batch_size": 4, "prepare": lambda batch: batch, **options}
    epochs = list(train(nn.Identity(), step, numbered(n), context=FitContext(seed=seed), **arguments))
    return batches, epochs


# ---------------------------------------------------------------------------------------------------------------------
# Batches


def test_an_epoch_shows_every_image_once_where_no_batch_is_left_out() -> None:
    batches, _ = recorded(10, epochs=3, drop_last=False)
    assert [len(batch) for batch in batches] == [4, 4, 2] * 3
    for epoch in range(3):
        assert sorted(chain(*batches[3 * epoch : 3 * epoch + 3])) == list(range(10))


def test_the_last_smaller_batch_is_left_out_by_default() -> None:
    batches, _ = recorded(10, epochs=2)
    assert [len(batch) for batch in batches] == [4, 4, 4, 4]
    for epoch in range(2):
        assert len(set(batches[2 * epoch] + batches[2 * epoch + 1])) == 8


def test_a_last_batch_that_is_full_is_not_left_out() -> None:
    batches, _ = recorded(8)
    assert sorted(chain(*batches)) == list(range(8))


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    batches, _ = recorded(3, epochs=2)
    assert [sorted(batch) for batch in batches] == [[0, 1, 2]] * 2


@given(n=st.integers(1, 30), epochs=st.integers(1, 4), min_steps=st.integers(0, 40), seed=st.integers(0, 9))
@settings(deadline=None)
def test_where_steps_are_asked_for_an_epoch_goes_over_a_small_class_several_times(
    n: int, epochs: int, min_steps: int, seed: int
) -> None:
    """Every epoch has as many steps, and no more than it takes."""
    batches, ended = recorded(n, epochs=epochs, min_steps=min_steps, seed=seed)
    once = max(1, n // 4)
    each = max(once, math.ceil(min_steps / epochs))
    assert [epoch.steps for epoch in ended] == [each] * epochs
    assert len(batches) == each * epochs
    whole = [batches[first : first + once] for first in range(0, each - once + 1, once)]
    assert all(len(set(chain(*permutation))) == once * min(4, n) for permutation in whole)
    if each == once:
        assert batches == recorded(n, epochs=epochs, seed=seed)[0]


def test_epochs_are_ordered_anew() -> None:
    batches, _ = recorded(40, epochs=2, batch_size=40)
    assert batches[0] != batches[1]


def test_batches_follow_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first, _ = recorded(20, epochs=2)
    torch.manual_seed(2)
    again, _ = recorded(20, epochs=2)
    other, _ = recorded(20, epochs=2, seed=1)
    assert first == again != other


def test_training_leaves_the_global_generator_as_found() -> None:
    before = torch.get_rng_state()
    recorded(20, epochs=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_is_channels_first_by_shape_and_channels_last_by_layout() -> None:
    def step(batch: Tensor, epoch: Tensor) -> dict[str, Tensor]:
        assert batch.shape == (4, 3, 2, 3)
        assert batch.is_contiguous(memory_format=torch.channels_last)
        assert (batch.dtype, float(batch.min()) >= -1, float(batch.max()) <= 1) == (torch.float32, True, True)
        return {"there": batch.mean()}

    (epoch,) = train(nn.Identity(), step, numbered(8, channels=3), epochs=1, batch_size=4, context=FitContext(seed=0))
    assert epoch.losses.keys() == {"there"}


# ---------------------------------------------------------------------------------------------------------------------
# Epochs


def test_the_losses_of_an_epoch_are_means_over_its_batches() -> None:
    def step(batch: Tensor, epoch: Tensor) -> dict[str, Tensor]:
        return {"mean": batch.float().mean(), "epoch": epoch}

    epochs = train(
        nn.Identity(),
        step,
        numbered(12),
        epochs=3,
        batch_size=4,
        context=FitContext(seed=0),
        prepare=lambda batch: batch,
    )
    found = list(epochs)
    assert [(epoch.number, epoch.total) for epoch in found] == [(1, 3), (2, 3), (3, 3)]
    assert [epoch.losses["mean"] for epoch in found] == pytest.approx([5.5] * 3)
    assert [epoch.losses["epoch"] for epoch in found] == [1, 2, 3]


def test_a_step_may_change_its_losses_afterwards() -> None:
    """A step captured as a graph writes every batch's loss into the same tensor."""
    kept = torch.zeros(())

    def step(batch: Tensor, epoch: Tensor) -> dict[str, Tensor]:
        return {"count": kept.add_(1)}

    (epoch,) = train(nn.Identity(), step, numbered(12), epochs=1, batch_size=4, context=FitContext(seed=0))
    assert epoch.losses["count"] == pytest.approx((1 + 2 + 3) / 3)


def test_nothing_is_trained_before_the_first_epoch_is_asked_for() -> None:
    calls: list[int] = []

    def step(batch: Tensor, epoch: Tensor) -> dict[str, Tensor]:
        calls.append(int(epoch))
        return {}

    epochs = train(nn.Identity(), step, numbered(8), epochs=2, batch_size=4, context=FitContext(seed=0))
    assert calls == []
    next(epochs)
    assert calls == [1, 1]


def test_an_epoch_with_a_loss_that_is_no_number_is_not_finite() -> None:
    assert Epoch(1, 1, {"a": 1.0, "b": -2.0}).finite
    assert not Epoch(1, 1, {"a": 1.0, "b": float("nan")}).finite
    assert not Epoch(1, 1, {"a": float("inf")}).finite


# ---------------------------------------------------------------------------------------------------------------------
# Scoring


@pytest.fixture
def network() -> Callable[[Tensor], Tensor]:
    with seeded(FitContext(seed=3)):
        layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()).eval()
    return lambda batch: layers(batch).square().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 20, 1000])
def test_scores_are_the_same_for_any_batch_size(network: Callable[[Tensor], Tensor], batch_size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    whole = scored(network, images, device="cpu")
    assert whole.shape == (20,)
    assert whole.dtype == np.float32
    assert len(np.unique(whole)) == 20
    assert scored(network, images, device="cpu", batch_size=batch_size) == pytest.approx(whole, rel=1e-6)


def test_scores_come_in_the_order_of_the_images(network: Callable[[Tensor], Tensor]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    order = np.random.default_rng(1).permutation(20)
    shuffled = scored(network, images[order], device="cpu", batch_size=6)
    assert shuffled == pytest.approx(scored(network, images, device="cpu", batch_size=6)[order], rel=1e-6)


def test_no_images_have_no_scores(network: Callable[[Tensor], Tensor]) -> None:
    assert scored(network, np.zeros((0, 8, 8, 1), np.uint8), device="cpu").shape == (0,)


def test_scoring_keeps_no_gradients(network: Callable[[Tensor], Tensor]) -> None:
    seen: list[bool] = []

    def score(batch: Tensor) -> Tensor:
        result = network(batch)
        seen.append(result.requires_grad)
        return result

    scored(score, numbered(4), device="cpu")
    assert seen == [False]


# ---------------------------------------------------------------------------------------------------------------------
# What goes with it


def test_weights_follow_from_the_contexts_seed_alone_and_the_generator_is_left_as_found() -> None:
    def weights(seed: int) -> Tensor:
        with seeded(FitContext(seed=seed)):
            return nn.Linear(3, 3).weight.detach()

    before = torch.get_rng_state()
    first = weights(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)


def test_the_forward_pass_is_in_bfloat16_only_where_the_context_asks_for_it() -> None:
    layer = nn.Linear(4, 4)
    for precision, wanted in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(FitContext(seed=0, precision=precision)):  # type: ignore[arg-type]
            assert layer(torch.ones(1, 4)).dtype == wanted


def test_adam_takes_the_steps_of_torchs_plain_adam() -> None:
    def weights(optimiser: Callable[[Any], torch.optim.Optimizer]) -> Tensor:
        with seeded(FitContext(seed=1)):
            layer, target = nn.Linear(3, 2), torch.rand(2)
        chosen = optimiser(layer.parameters())
        for _ in range(5):
            chosen.zero_grad()
            (layer(torch.ones(3)) - target).square().sum().backward()
            chosen.step()
        return layer.weight.detach()

    options: Any = {"lr": 0.01, "betas": (0.5, 0.9), "weight_decay": 0.1}
    plain = weights(lambda parameters: torch.optim.Adam(parameters, foreach=False, fused=False, **options))
    assert torch.allclose(weights(lambda parameters: adam(parameters, **options)), plain, atol=1e-6)


def test_a_networks_convolutions_are_laid_out_channels_last() -> None:
    network = nn.Conv2d(4, 4, 3)
    to_device(network, FitContext(seed=0))
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
