"""GEOM: its Dirichlet densities are the likeliest, its score is the paper's, and it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import learnt
from scipy.special import psi
from scipy.stats import dirichlet as density

from bench.method import FitContext
from bench.methods._transforms import combined
from bench.methods.today.geom import GEOM, dirichlet, inverse_psi
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"image_size": 8, "transforms": 8, "width": 1, "batch_size": 16, "epochs": 2}


def test_it_learns_a_digit() -> None:
    """Dirichlets of an untrained network's answers are densities already, and tell bright halves apart."""
    figures, told = learnt(4, lambda epochs: GEOM(**{**SMALL, "epochs": epochs}), (0, 3))
    assert told[-1].losses["cross_entropy"] < 0.5 * told[0].losses["cross_entropy"]
    assert figures[1] > 0.93, figures
    assert 1 - figures[1] < 0.6 * (1 - figures[0]), figures


def test_the_score_is_the_mean_over_transforms_of_log_densities_up_to_a_constant() -> None:
    method, images = GEOM(**SMALL).fit(lit(0, 48, 1), FitContext(seed=0)), np.concatenate([TEST[0][:4], TEST[1][:4]])
    answers, of_training = [], []
    for found, pictures in ((answers, images), (of_training, lit(0, 48, 1))):
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.no_grad():
            for transform in combined(8, moved=False):
                turned = torch.rot90(x.flip(3) if transform.mirrored else x, transform.turns, (2, 3))
                found.append(method.network(turned).double().softmax(dim=1).numpy())
    wanted = np.zeros(len(images))
    for p, known in zip(answers, of_training, strict=True):
        alpha = dirichlet(known.mean(axis=0), np.log(known).mean(axis=0))
        wanted -= ((alpha - 1) * np.log(p)).sum(axis=1) / 8
    assert method.score(images) == pytest.approx(wanted, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize(("transforms", "images", "steps"), [(72, 5000, 3 * 72 * 40), (8, 100, 25 * 8), (36, 1, 500)])
def test_an_epoch_is_of_all_images_under_all_transforms(transforms: Any, images: int, steps: int) -> None:
    epochs = {72: 3, 8: 25, 36: 6}[transforms]
    method = GEOM(transforms=transforms, epochs=epochs, min_steps=500 if steps == 500 else 0)
    assert method.steps_at_least(images) == steps
    assert len(method.transforms_used()) == transforms


@given(alpha=st.lists(st.floats(0.05, 20.0), min_size=2, max_size=6), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=20)
def test_no_other_dirichlet_is_likelier(alpha: list[float], seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(alpha, 50).clip(1e-12)
    p /= p.sum(axis=1, keepdims=True)
    found = dirichlet(p.mean(axis=0), np.log(p).mean(axis=0))
    reached = density.logpdf(p.T, found).sum()
    assert reached >= density.logpdf(p.T, np.array(alpha)).sum() - 1e-3
    for factor in (0.97, 1.03):
        assert reached >= density.logpdf(p.T, found * factor).sum() - 1e-3


@given(x=st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_the_inverse_of_psi_is_one(x: float) -> None:
    assert inverse_psi(psi(x)) == pytest.approx(x, rel=1e-4)


@pytest.mark.parametrize(("images", "channels"), [(3, 1), (40, 3)])
def test_few_images_and_colour_of_any_shape_can_be_learnt(images: int, channels: int) -> None:
    pictures = lit(0, images, 1, channels, height=13, width=17)
    method = GEOM(**{**SMALL, "epochs": 1}).fit(pictures, FitContext(seed=0))
    assert np.isfinite(method.score(pictures)).all()
