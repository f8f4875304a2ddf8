"""Ending with the epoch that is best for normal images which training did not see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.method import FitContext, Images
from bench.methods._validation import BestEpoch, held_out
from bench.methods.paper.shared_ae import SharedAE
from bench.testing.images import lit

pytestmark = pytest.mark.usefixtures("one_thread")

NARROW = {"width": 4, "latent": 4, "image_size": 8, "batch_size": 16, "lr": 0.02}


@given(n=st.integers(2, 50), share=st.floats(0.01, 0.9), seed=st.integers(0, 9))
@settings(deadline=None)
def test_every_image_is_trained_on_or_held_out_and_none_is_both(n: int, share: float, seed: int) -> None:
    images = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1)
    seen, unseen = held_out(images, share, FitContext(seed=seed))
    assert sorted([*seen.ravel(), *unseen.ravel()]) == list(range(n))
    assert len(unseen) == min(max(1, round(share * n)), n - 1), "something is left to train on"
    assert np.array_equal(unseen, held_out(images, share, FitContext(seed=seed))[1])


@given(errors=st.lists(st.floats(0, 9) | st.just(math.nan), min_size=1, max_size=8))
def test_what_is_restored_is_the_state_with_the_lowest_error(errors: list[float]) -> None:
    layer = nn.Linear(1, 1)
    best = BestEpoch(layer)
    for number, error in enumerate(errors):
        nn.init.constant_(layer.weight, number)
        best.show(error)
    best.restore()
    known = [error for error in errors if not math.isnan(error)]
    expected = errors.index(min(known)) if known else len(errors) - 1
    assert layer.weight.item() == expected


@pytest.mark.parametrize("statistics", ["per_pass", "blend"])
def test_a_method_with_validation_ends_with_its_best_epoch(statistics: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images, context = lit(0, 64, 1), FitContext(seed=0)
    errors = iter([3.0, 1.0, 2.0, 4.0])
    shown = []

    def error(method: SharedAE, unseen: Images) -> float:
        assert np.array_equal(unseen, held_out(images, 0.25, context)[1])
        shown.append(method.networks.e1.state_dict()["0.weight"].clone())
        return next(errors)

    monkeypatch.setattr(SharedAE, "_error", error)
    method = SharedAE(**NARROW, epochs=4, statistics=statistics, validation=0.25)  # type: ignore[arg-type]
    method.fit(images, context)
    assert not torch.equal(shown[1], shown[3])
    assert torch.equal(method.networks.e1.state_dict()["0.weight"], shown[1])


def test_the_error_of_a_method_is_that_of_its_reconstructions() -> None:
    images, context = lit(0, 64, 1), FitContext(seed=0)
    method = SharedAE(**NARROW, epochs=2).fit(images, context)  # type: ignore[arg-type]
    by_hand = np.abs(method.reconstruct(images).astype(np.float64) - images).mean() / 127.5
    assert method._error(images) == pytest.approx(by_hand, abs=0.5 / 127.5)
