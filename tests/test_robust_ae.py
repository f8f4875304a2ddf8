"""The robust autoencoder: its split of the training images, its network, and the outliers that it finds among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bench.datasets.digits import Digits
from bench.images import flattened, resized
from bench.method import FitContext
from bench.methods.rivals.robust_ae import RobustAutoencoder, TiedAutoencoder, shrunk
from bench.metrics import auroc
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"image_size": 8, "hidden": 32, "latent": 4, "batch_size": 16, "lr": 5e-3, "lam": 0.2}
NO_SPLIT = 1e3
"""A λ that no residual reaches: a plain autoencoder."""


def fitted(seed: int = 0, n: int = 48, channels: int = 1, **parameters: Any) -> RobustAutoencoder:
    method = RobustAutoencoder(**{**SMALL, "epochs": 2, "inner_epochs": 3, **parameters})
    return method.fit(lit(0, n, 1, channels), FitContext(seed=seed))


# ---------------------------------------------------------------------------------------------------------------------
# The split


@pytest.mark.parametrize("penalty", ["l21", "l21_features", "l1"])
@pytest.mark.parametrize("threshold", [0.3, 1.4])
def test_shrinking_minimises_its_objective(penalty: Any, threshold: float) -> None:
    residual = np.random.default_rng(0).normal(size=(3, 4))

    def norm(s: np.ndarray) -> float:
        if penalty == "l1":
            return float(np.abs(s).sum())
        return float(np.linalg.norm(s, axis=1 if penalty == "l21" else 0).sum())

    def objective(flat: np.ndarray) -> float:
        s = flat.reshape(residual.shape)
        return 0.5 * float(np.square(residual - s).sum()) + threshold * norm(s)

    found = shrunk(torch.from_numpy(residual), threshold, penalty).numpy()
    options = {"maxiter": 40_000, "maxfev": 40_000, "xtol": 1e-9, "ftol": 1e-13}  # Powell's needs no gradient
    best = min(
        (minimize(objective, start.ravel(), method="Powell", options=options) for start in (residual, 0 * residual)),
        key=lambda end: float(end.fun),
    )
    assert objective(found.ravel()) <= best.fun + 1e-9
    assert found == pytest.approx(best.x.reshape(residual.shape), abs=2e-3)
    assert (found == 0).any() or threshold < 1


@pytest.mark.parametrize(("penalty", "together"), [("l21", 64), ("l21_features", 40), ("l1", 1)])
def test_lambda_is_the_root_mean_square_above_which_something_is_set_aside(penalty: Any, together: int) -> None:
    method = RobustAutoencoder(penalty=penalty, lam=0.2)
    residual = torch.full((40, 64), 0.25)
    assert torch.allclose(method._shrunk(residual), torch.full((40, 64), 0.05), atol=1e-6)
    assert not method._shrunk(0.75 * residual).any()
    assert torch.equal(method._shrunk(residual), shrunk(residual, 0.2 * together**0.5, penalty))


def test_what_is_set_aside_is_that_of_the_last_turn() -> None:
    images = lit(0, 48, 1)
    method = RobustAutoencoder(**{**SMALL, "lam": 0.05, "epochs": 1, "inner_epochs": 3})
    method.fit(images, FitContext(seed=0))
    rows = flattened(images)  # L, before anything is set aside
    with torch.no_grad():
        residual = rows - method.network(torch.from_numpy(rows)).numpy()
    lengths = np.sqrt(np.square(residual).mean(axis=1))
    assert method.set_aside.numpy() == pytest.approx(np.maximum(lengths - 0.05, 0), abs=1e-5)
    assert method.set_aside.any()


def contaminated(digit: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All images of one digit with a twentieth as many of others, and which are the others."""
    digits, random = Digits().read(None), np.random.default_rng(seed)  # type: ignore[arg-type]  # it needs no folder
    normal = np.flatnonzero(digits.labels == digit)
    others = random.choice(np.flatnonzero(digits.labels != digit), round(len(normal) / 20), replace=False)
    order = random.permutation(np.concatenate([normal, others]))
    return digits.images[order], (digits.labels[order] != digit).astype(np.uint8)


@pytest.mark.slow
def test_it_finds_the_outliers_among_its_training_images() -> None:
    """The paper's experiment in small.

    S had AUROCs of 1.000 and 0.948 where the residuals of a plain autoencoder had 0.998 and 0.923.
    """
    found: dict[str, list[float]] = {"split": [], "plain": []}
    for digit, seed in [(4, 1), (8, 1)]:
        images, outlier = contaminated(digit, seed)
        for kind, lam in (("split", 0.16), ("plain", NO_SPLIT)):
            method = RobustAutoencoder(
                image_size=8, hidden=32, latent=16, batch_size=16, lr=3e-3, lam=lam, epochs=5, inner_epochs=40
            ).fit(images, FitContext(seed=0))
            apart = method.set_aside.numpy()
            found[kind].append(auroc(outlier, apart if kind == "split" else method.score(images)))
            if kind == "split":
                assert outlier[apart > 0].mean() > 2.5 * outlier.mean()
                assert outlier[apart > 0].sum() >= 0.7 * outlier.sum()
            else:
                assert not apart.any()
    assert min(found["split"]) > 0.9
    assert np.mean(found["split"]) > np.mean(found["plain"]) - 0.005, found


# ---------------------------------------------------------------------------------------------------------------------
# The network and its training


def test_the_network_has_the_authors_size_and_is_their_formula() -> None:
    assert sum(p.numel() for p in TiedAutoencoder(784, 400, 200).parameters()) == (
        784 * 400 + 400 * 200 + 400 + 200 + 400 + 784
    )
    torch.manual_seed(0)
    network = TiedAutoencoder(12, 7, 5).double()
    x = np.random.default_rng(0).random((4, 12))
    (w1, w2), (b1, b2), (c1, c2) = (
        [p.detach().numpy() for p in part] for part in (network.weights, network.encoder_biases, network.decoder_biases)
    )

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(-a)))

    z = sigmoid(sigmoid(x @ w1 + b1) @ w2 + b2)
    wanted = sigmoid(sigmoid(z @ w2.T + c2) @ w1.T + c1)
    assert network(torch.from_numpy(x)).detach().numpy() == pytest.approx(wanted, rel=1e-12)


def test_the_loss_is_the_mean_squared_error_of_what_is_explained() -> None:
    method = RobustAutoencoder(**SMALL)
    torch.manual_seed(0)
    method.network = TiedAutoencoder(64, 32, 4)
    explained = torch.rand(10, 64)
    rows = torch.tensor([3, 1, 7])
    with torch.no_grad():
        wanted = (explained[rows] - method.network(explained[rows])).square().mean()
    step = method._step(explained, FitContext(seed=0))
    losses = step(rows.view(3, 1, 1, 1), torch.ones(()))
    assert torch.allclose(losses["reconstruction"], wanted)
    assert step(rows.view(3, 1, 1, 1), torch.ones(()))["reconstruction"] < wanted


def test_an_epoch_is_a_turn_of_so_many_passes_over_the_images() -> None:
    method = RobustAutoencoder(**{**SMALL, "epochs": 3, "inner_epochs": 4})
    epochs = list(method.fit_epochs(lit(0, 50, 1), FitContext(seed=0)))
    assert [(e.number, e.total, e.steps) for e in epochs] == [(i, 3, 4 * 3) for i in (1, 2, 3)]
    method.min_steps = 60
    assert [e.steps for e in method.fit_epochs(lit(0, 50, 1), FitContext(seed=0))] == [20] * 3
    method.batch_size = 133
    assert [e.steps for e in method.fit_epochs(lit(0, 50, 1), FitContext(seed=0))] == [20] * 3


# ---------------------------------------------------------------------------------------------------------------------
# Scores


def test_it_learns_and_an_untrained_copy_knows_of_no_normal_class() -> None:
    trained, untrained = [], []
    for normal in (0, 1):
        for epochs, figures in ((3, trained), (0, untrained)):
            method = RobustAutoencoder(**{**SMALL, "epochs": epochs, "inner_epochs": 10})
            method.fit(lit(normal, 256, normal), FitContext(seed=3))
            figures.append(auroc_of(method, normal))
    assert min(trained) > 0.9, trained
    assert min(untrained) < 0.6, untrained


def test_the_score_is_the_root_mean_square_that_the_autoencoder_leaves() -> None:
    method, images = fitted(), np.concatenate(TEST)
    rows = flattened(resized(images, 8))
    with torch.no_grad():
        made = method.network(torch.from_numpy(rows)).numpy()
    assert method.score(images) == pytest.approx(np.sqrt(np.square(rows - made).mean(axis=1)), rel=1e-5)
    assert np.abs(method.reconstruct(images).reshape(100, 64) / 255 - made).max() < 0.003


def test_scores_are_the_image_s_own_and_the_seed_s() -> None:
    method, images = fitted(), np.concatenate(TEST)
    scores = method.score(images)
    alone = np.concatenate([method.score(images[i : i + 1]) for i in range(16)])
    assert alone == pytest.approx(scores[:16], rel=1e-5)
    assert np.array_equal(scores, fitted().score(images))
    assert not np.allclose(scores, fitted(seed=1).score(images))


@pytest.mark.parametrize("penalty", ["l21", "l21_features", "l1"])
def test_every_penalty_works_in_colour(penalty: Any) -> None:
    method = fitted(channels=3, penalty=penalty, lam=0.1)
    images = lit(1, 9, 5, channels=3)
    assert np.isfinite(method.score(images)).all()
    assert method.reconstruct(images).shape == (9, 8, 8, 3)
    assert method.set_aside.shape == (48,)
