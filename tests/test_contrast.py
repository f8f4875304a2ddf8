"""The contrastive losses are the papers', computed one by one; and the descents are what they are said to be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods._contrast import cosine, nt_xent, sgd
from bench.methods.today.neutral_ad import dcl

pytestmark = pytest.mark.usefixtures("one_thread")


def h(a: np.ndarray, b: np.ndarray, temperature: float) -> float:
    return math.exp(float(a @ b) / (float(np.linalg.norm(a)) * float(np.linalg.norm(b)) * temperature))


@given(count=st.integers(1, 5), temperature=st.floats(0.1, 1.0), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_nt_xent_is_simclr_s_over_all_views(count: int, temperature: float, seed: int) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, count, 4))
    z = np.concatenate([first, second])
    losses = []
    for i in range(2 * count):
        other = (i + count) % (2 * count)
        among = sum(h(z[i], z[k], temperature) for k in range(2 * count) if k != i)
        losses.append(-math.log(h(z[i], z[other], temperature) / among))
    found = nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature)
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-6, abs=1e-9)


@given(views=st.integers(1, 5), temperature=st.floats(0.1, 1.0), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_dcl_is_eq_2_of_the_paper(views: int, temperature: float, seed: int) -> None:
    z = np.random.default_rng(seed).normal(size=(3, 1 + views, 4))
    wanted = []
    for x, *transformed in z:
        total = 0.0
        for k, view in enumerate(transformed):
            others = sum(h(view, other, temperature) for j, other in enumerate(transformed) if j != k)
            total -= math.log(h(view, x, temperature) / (h(view, x, temperature) + others))
        wanted.append(total)
    assert dcl(torch.from_numpy(z), temperature).numpy() == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_the_rate_rises_and_then_falls_by_half_a_cosine() -> None:
    shares = [float(cosine(torch.tensor(float(n)), 10)) for n in range(1, 11)]
    assert shares == pytest.approx([(1 + math.cos(math.pi * n / 10)) / 2 for n in range(10)], abs=1e-6)
    warm = [float(cosine(torch.tensor(float(n)), 10, warm_up=4)) for n in range(1, 11)]
    assert warm == pytest.approx([min(1.0, n / 4) * share for n, share in enumerate(shares, 1)], abs=1e-6)


def test_the_descent_is_that_with_momentum_and_its_rate_can_be_changed_in_place() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimiser = sgd([weight], lr=0.1, weight_decay=0.5)
    place, velocity = np.array([1.0, -2.0]), np.zeros(2)
    for rate in (0.1, 0.1, 0.02):
        optimiser.param_groups[0]["lr"].copy_(torch.tensor(rate))
        weight.grad = torch.tensor([3.0, 1.0])
        optimiser.step()
        velocity = 0.9 * velocity + np.array([3.0, 1.0]) + 0.5 * place
        place = place - rate * velocity
        assert weight.detach().numpy() == pytest.approx(place, rel=1e-5)


def test_lars_brings_each_layers_gradient_to_a_share_of_its_weights() -> None:
    layers = [torch.nn.Parameter(torch.tensor([3.0, 4.0])), torch.nn.Parameter(torch.zeros(2))]
    optimiser = sgd(layers, lr=1.0, weight_decay=0.1, trust=0.01)
    for layer in layers:
        layer.grad = torch.tensor([6.0, -8.0])
    optimiser.step()
    # ‖w‖ = 5, ‖g‖ = 10: g + 0.1 w, times 0.01 · 5 / (10 + 0.5); what is zero goes by its gradient
    ratio = 0.05 / 10.5
    assert layers[0].detach().numpy() == pytest.approx([3 - ratio * 6.3, 4 + ratio * 7.6], rel=1e-5)
    assert layers[1].tolist() == pytest.approx([-6.0, 8.0])
