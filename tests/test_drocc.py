"""DROCC: its search stays where the paper says and finds what the network takes for normal, and it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import learnt
from torch import nn

from bench.batchnorm import norms
from bench.method import Epoch, FitContext
from bench.methods.today.drocc import DROCC, network, says
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"image_size": 8, "width": 8, "batch_size": 16, "ascent_steps": 5, "ascent_size": 0.01}


def fitted(epochs: int = 1, **parameters: Any) -> DROCC:
    return DROCC(**{**SMALL, **parameters}, epochs=epochs).fit(lit(0, 48, 1), FitContext(seed=0))


def test_it_learns_a_digit() -> None:
    figures, told = learnt(8, lambda epochs: DROCC(**SMALL, epochs=epochs), (0, 20))
    assert told[-1].losses["normal"] < 0.7 * told[0].losses["normal"]
    assert told[-1].losses["found"] < 0.8 * told[0].losses["found"]
    assert figures[1] > 0.8, figures
    assert figures[1] > figures[0] + 0.2, figures


@given(
    logits=st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=6),
    normal=st.sampled_from([0.0, 1.0]),
)
@settings(deadline=None)
def test_the_loss_is_the_logistic_one(logits: list[float], normal: float) -> None:
    signed = np.array(logits) * (1 if normal else -1)
    found = says(torch.tensor(logits)[:, None], normal).item()
    assert found == pytest.approx(np.logaddexp(0, -signed).mean(), rel=1e-4, abs=1e-6)


@given(lengths=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6), gamma=st.sampled_from([0.5, 1.0, 2.0]))
@settings(deadline=None, max_examples=30)
def test_points_are_put_back_between_two_spheres_and_not_moved_within(lengths: list[float], gamma: float) -> None:
    method = DROCC(radius=0.5, gamma=gamma)
    x = torch.rand(len(lengths), 3, 8, 8, dtype=torch.float64)
    away = torch.randn_like(x)
    away *= torch.tensor(lengths, dtype=x.dtype)[:, None, None, None] / away.flatten(1).norm(dim=1)[:, None, None, None]
    put = method.put_back(x + away, x) - x
    r = 0.5 * (3 * 8 * 8) ** 0.5
    assert put.flatten(1).norm(dim=1).numpy() == pytest.approx(np.clip(lengths, r, max(gamma, 1) * r), rel=1e-6)
    assert nn.functional.cosine_similarity(put.flatten(1), away.flatten(1)).numpy() == pytest.approx(1)


@pytest.mark.parametrize("steps", [3, 10, 23])
def test_what_is_found_lies_on_the_sphere_and_is_taken_for_more_normal_than_the_start(steps: int) -> None:
    method = fitted(epochs=4, ascent_steps=steps, ascent_size=0.5)
    x = method.prepared(torch.from_numpy(lit(0, 32, 5)).permute(0, 3, 1, 2))
    torch.manual_seed(0)
    start = method.put_back(x + torch.randn_like(x), x)
    torch.manual_seed(0)
    found = method.searched(x)
    assert (found - x).flatten(1).norm(dim=1).numpy() == pytest.approx(0.5 * 8, rel=1e-4)
    with torch.no_grad():
        assert (method.network(found) > method.network(start)).float().mean() > 0.9


def test_the_network_is_the_authors_and_the_score_its_negated_logit() -> None:
    shapes = [tuple(each.weight.shape) for each in network(3, 32, 32) if isinstance(each, nn.Conv2d | nn.Linear)]
    assert shapes == [(32, 3, 5, 5), (64, 32, 5, 5), (128, 64, 5, 5), (128, 2048), (64, 128), (1, 64)]
    method = fitted()
    train = lit(0, 48, 1) / 255
    x = torch.from_numpy((TEST[1] / 255 - train.mean()) / train.std()).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        assert method.score(TEST[1]) == pytest.approx(-method.network(x)[:, 0].numpy(), rel=1e-3, abs=1e-5)


def test_running_statistics_are_those_of_images_and_not_of_what_the_search_finds() -> None:
    """One step of full momentum: the statistics are the batch's."""
    images = lit(0, 16, 1)
    method = DROCC(**SMALL, epochs=0).fit(images, FitContext(seed=0))
    first = norms(method.network)[0]
    x = method.prepared(torch.from_numpy(images).permute(0, 3, 1, 2))
    with torch.no_grad():
        wanted = method.network[0](x).mean(dim=(0, 2, 3))
    told: list[Epoch] = []
    trained = DROCC(**SMALL, epochs=1).fit(images, FitContext(seed=0, on_epoch=told.append))
    assert told[0].steps == 1
    assert norms(trained.network)[0].running_mean.numpy() == pytest.approx(
        (first.momentum or 0.0) * wanted.numpy(), rel=1e-3, abs=1e-6
    )


def test_the_rate_falls_after_two_fifths_and_four_fifths(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.optim.Optimizer] = []
    from bench.methods.today import drocc

    monkeypatch.setattr(drocc, "adam", lambda *a, **k: made.append(kept := torch.optim.Adam(*a, **k)) or kept)
    rates = []
    method = DROCC(**SMALL, epochs=10, lr=1e-3)
    for _ in method.fit_epochs(lit(0, 16, 1), FitContext(seed=0)):
        rates.append(float(made[0].param_groups[0]["lr"]))
    assert rates == pytest.approx([1e-3] * 4 + [1e-4] * 4 + [1e-5] * 2)
