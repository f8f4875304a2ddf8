"""DAGPR: its Gaussian process, its selections, and what its inductive form learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.datasets.digits import Digits
from bench.errors import BenchError
from bench.method import FitContext
from bench.methods.rivals.dagpr import DAGPR, GaussianProcess, Networks, first_selection, next_selection
from bench.metrics import auroc
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")

NARROW: dict[str, Any] = {"width": 4, "batch_size": 16, "epochs": 2, "rounds": 2}


def fitted(n: int = 48, channels: int = 1, seed: int = 0, **parameters: Any) -> DAGPR:
    return DAGPR(**{**NARROW, **parameters}).fit(lit(0, n, 1, channels), FitContext(seed=seed))


@pytest.mark.slow
def test_training_raises_the_mean_over_digits() -> None:
    """Measured: 0.68, 0.77 and 0.67, untrained 0.23, 0.51 and 0.66: it learns, but the digit 8 shows little of it.

    Not on the bright halves: with settings that find these, so does the untrained network.
    """
    content = Digits().read(Path())
    means = []
    for epochs in (0, 40):
        figures = []
        for digit in (0, 1, 8):
            own, others = content.images[content.labels == digit], content.images[content.labels != digit][:200]
            method = DAGPR(width=16, batch_size=16, epochs=epochs).fit(own[:130], FitContext(seed=0))
            labels = np.repeat(np.array([0, 1], dtype=np.uint8), [len(own) - 130, 200])
            figures.append(auroc(labels, method.score(np.concatenate([own[130:], others]))))
        means.append(np.mean(figures))
    assert means[1] > means[0] + 0.1, means


def test_scores_are_the_image_s_own_and_the_seed_s() -> None:
    method, images = fitted(), np.concatenate(TEST)
    whole = method.score(images)
    scale = 1e-4 * float(np.ptp(whole))
    assert np.isfinite(whole).all()
    assert method.score(images[40:56]) == pytest.approx(whole[40:56], abs=scale)
    assert method.score(np.concatenate([images[:7], 255 - images]))[:7] == pytest.approx(whole[:7], abs=scale)
    assert np.array_equal(fitted().score(images), whole)
    assert not np.allclose(fitted(seed=1).score(images), whole)


def test_images_in_colour_and_a_batch_larger_than_the_set() -> None:
    assert np.isfinite(fitted(n=3, channels=3).score(lit(0, 5, 2, 3))).all()


def test_the_transductive_form_is_refused_with_the_reason_and_the_way_out() -> None:
    with pytest.raises(BenchError, match=r"scores the images that it is trained on.*form='inductive'"):
        fitted(form="transductive")


@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_the_process_predicts_what_its_closed_form_does(prior: float) -> None:
    random = np.random.default_rng(0)
    points, asked = random.normal(size=(20, 3)), random.normal(size=(7, 3))
    labels = (random.random(20) > 0.5).astype(float)

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
        return np.exp(-squared / (2 * 0.3**2)) + (a[:, None] * b[None]).sum(axis=2) + 1

    wanted = prior + k(asked, points) @ np.linalg.inv(k(points, points) + 0.7 * np.eye(20)) @ (labels - prior)
    process = GaussianProcess.fitted(torch.from_numpy(points), torch.from_numpy(labels), prior, 0.3, 0.7)
    assert process.mean(torch.from_numpy(asked)).numpy() == pytest.approx(wanted)
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, DotProduct

    # a linear and a constant kernel are one of scikit-learn's
    reference = GaussianProcessRegressor(RBF(0.3) + DotProduct(1.0), alpha=0.7, optimizer=None)
    assert prior + reference.fit(points, labels - prior).predict(asked) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("images", "first", "later"),
    [(10_000, (800, 400), (1600, 495)), (1500, (180, 90), (240, 73)), (58, (6, 3), (8, 2)), (1, (1, 1), (1, 1))],
)
def test_so_many_are_selected_from_either_end(images: int, first: tuple[int, int], later: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    values = random.permutation(images).astype(float)  # a value is its rank
    for select, counts in ((first_selection, first), (next_selection, later)):
        normal, anomalous = select(values, random)
        assert (len(normal), len(anomalous)) == counts
        assert len(set(normal)) == len(normal)
        assert len(set(anomalous)) == len(anomalous)
    normal, anomalous = first_selection(values, random)
    assert values[normal].max() < max(1, min(2000, 0.3 * images))
    assert values[anomalous].min() >= images - max(1, min(400, 0.06 * images))
    normal, anomalous = next_selection(values, random)
    assert values[normal].max() < max(1, 0.2 * images)
    assert values[anomalous].min() >= images - max(1, 0.055 * images)


def test_the_networks_are_the_authors() -> None:
    networks = Networks(3, 32, 10)
    convolutions = 25 * 3 * 32 + 25 * 32 * 64 + 9 * 64 * 128
    assert sum(p.numel() for p in networks.encoder.parameters()) == convolutions + 224 + 2048 * 10 + 10
    assert sum(p.numel() for p in networks.decoder.parameters()) == convolutions + 99 + 10 * 2048 + 2048
    z, x_hat = networks(torch.rand(2, 3, 32, 32))
    assert torch.allclose(z.norm(dim=1), torch.ones(2))
    assert x_hat.shape == (2, 3, 32, 32)
    assert x_hat.min() >= 0


def test_the_loss_is_half_the_squared_error_and_moves_the_weights() -> None:
    method, x = DAGPR(**NARROW), torch.rand(8, 1, 32, 32)
    torch.manual_seed(0)
    method.networks = method.build(1)
    before = [weight.detach().clone() for weight in method.networks.parameters()]
    with torch.no_grad():
        wanted = ((x - method.networks(x)[1]) ** 2).sum() / 2 / 8
    found = method.step(FitContext(seed=0))(x, torch.ones(()))["reconstruction"]
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert not any(torch.equal(a, b) for a, b in zip(before, method.networks.parameters(), strict=True))


def test_what_the_process_knows_nothing_about_has_the_prior_s_label() -> None:
    point, label = torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    near, far = torch.zeros(1, 2), torch.tensor([[50.0, 0.0]])
    means = [float(GaussianProcess.fitted(point, label, 1.0, 0.3, 1e-3).mean(at)) for at in (near, far)]
    assert means[0] < 1e-2
    assert means[1] == pytest.approx(0.5, abs=1e-2)  # the constant kernel knows about it, the other does not
