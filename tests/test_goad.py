"""GOAD: its losses and its score are the paper's, and it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import learnt

from bench.method import FitContext
from bench.methods._transforms import combined
from bench.methods.today.goad import GOAD, triplet_centre
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"image_size": 8, "transforms": 8, "width": 1, "batch_size": 16, "epochs": 2}


def test_it_learns_a_digit() -> None:
    """Features of an untrained network have centres already that tell much; the errors left fall by more than half."""
    figures, told = learnt(9, lambda epochs: GOAD(**{**SMALL, "epochs": epochs, "lr": 3e-3}), (0, 3))
    assert told[-1].losses["cross_entropy"] < 0.8 * told[0].losses["cross_entropy"]
    assert told[-1].losses["triplet_centre"] < 0.5 * told[0].losses["triplet_centre"]
    assert figures[1] > 0.95, figures
    assert 1 - figures[1] < 0.5 * (1 - figures[0]), figures


@given(b=st.integers(1, 5), t=st.integers(2, 6), d=st.integers(1, 4), margin=st.floats(0, 2), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_the_triplet_centre_loss_is_the_papers(b: int, t: int, d: int, margin: float, seed: int) -> None:
    z = np.random.default_rng(seed).normal(size=(b, t, d))
    centres = z.mean(axis=0)
    wanted = [
        max(
            0.0,
            ((z[i, m] - centres[m]) ** 2).sum()
            + margin
            - min(((z[i, m] - centres[other]) ** 2).sum() for other in range(t) if other != m),
        )
        for i in range(b)
        for m in range(t)
    ]
    assert triplet_centre(torch.from_numpy(z), margin).item() == pytest.approx(np.mean(wanted), abs=1e-6)


def test_the_score_is_the_sum_over_transforms_of_surprisals_by_squared_distance_to_the_centres() -> None:
    train, test = lit(0, 48, 1), np.concatenate([TEST[0][:4], TEST[1][:4]])
    method = GOAD(**SMALL).fit(train, FitContext(seed=0))

    def features(images: Any) -> Any:
        x = torch.from_numpy(images.copy()).permute(0, 3, 1, 2) / 127.5 - 1
        views = [torch.rot90(x.flip(3) if t.mirrored else x, t.turns, (2, 3)) for t in combined(8, moved=False)]
        with torch.no_grad():
            return np.stack([method.network(view).double().numpy() for view in views], axis=1)

    centres = features(train).mean(axis=0)
    squared = ((features(test)[:, :, None] - centres) ** 2).sum(axis=3)
    log_p = -squared - np.log(np.exp(-squared).sum(axis=2, keepdims=True))
    wanted = -np.trace(log_p, axis1=1, axis2=2)
    assert method.score(test) == pytest.approx(wanted, rel=1e-2, abs=1e-2)


def test_centres_are_those_of_the_weights_that_score_whenever_it_is_scored() -> None:
    train = lit(0, 48, 1)
    scores = []
    method = GOAD(**SMALL)
    for _ in method.fit_epochs(train, FitContext(seed=0)):
        scores.append(method.score(TEST[0]))
    assert np.array_equal(scores[-1], GOAD(**SMALL).fit(train, FitContext(seed=0)).score(TEST[0]))
    assert not np.allclose(scores[0], scores[1])


@pytest.mark.parametrize("transforms", [8, 36, 72])
def test_few_images_in_colour_of_any_shape_can_be_learnt(transforms: Any) -> None:
    pictures = lit(0, 3, 1, 3, height=13, width=17)
    method = GOAD(**{**SMALL, "epochs": 1, "transforms": transforms}).fit(pictures, FitContext(seed=0))
    assert len(method.transforms_used()) == transforms
    assert np.isfinite(method.score(pictures)).all()
