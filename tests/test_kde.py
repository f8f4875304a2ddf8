"""The kernel density estimate: the density, the bandwidth and the folds are what they are said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import gaussian_kde
from sklearn.model_selection import KFold

from bench.datasets.digits import Digits
from bench.errors import BenchError
from bench.images import contrast_normalised, flattened
from bench.method import FitContext
from bench.methods.controls.mean_image import MeanImage
from bench.methods.rivals import kde
from bench.methods.rivals.kde import BANDWIDTHS, KernelDensityEstimate
from bench.metrics import auroc
from bench.randomness import derive_seed
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

DIGITS = Digits().read(None)  # type: ignore[arg-type]  # it needs no folder


def fitted(seed: int = 0, n: int = 60, channels: int = 1, **parameters: Any) -> KernelDensityEstimate:
    return KernelDensityEstimate(**parameters).fit(lit(0, n, 1, channels), FitContext(seed=seed))


def log_density(rows: np.ndarray, at: np.ndarray, bandwidth: float) -> np.ndarray:
    """Of equal Gaussians on the rows: computed in one sum."""
    rows, at = rows.astype(np.float64), at.astype(np.float64)
    squared = np.square(at[:, None] - rows[None]).sum(axis=2)
    dimensions = rows.shape[1]
    logs = -0.5 * squared / bandwidth**2 - 0.5 * dimensions * np.log(2 * np.pi * bandwidth**2)
    return logsumexp(logs, axis=1) - np.log(len(rows))


def test_digits_are_told_from_each_other() -> None:
    """There is nothing to train but the place of the kernels, so the figure to beat is that of the mean image."""
    figures, of_mean = [], []
    for digit in range(10):
        normal = DIGITS.labels == digit
        training = np.flatnonzero(normal)[:140]
        rest = np.setdiff1d(np.arange(len(DIGITS.labels)), training)
        method = KernelDensityEstimate().fit(DIGITS.images[training], FitContext(seed=0))
        labels, test = (~normal[rest]).astype(np.uint8), DIGITS.images[rest]
        figures.append(auroc(labels, method.score(test)))
        of_mean.append(auroc(labels, MeanImage().fit(DIGITS.images[training], FitContext(seed=0)).score(test)))
    assert np.mean(figures) > 0.97 > 0.95 > np.mean(of_mean), (figures, of_mean)


def test_the_density_is_that_of_scipy() -> None:
    """scipy's kernels have the covariance of the data, times a factor: so on data that are whitened beforehand."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(50, 2))
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T))).T
    at = random.normal(size=(20, 2))
    for bandwidth in BANDWIDTHS[5:12]:
        assert log_density(rows, at, bandwidth) == pytest.approx(gaussian_kde(rows.T, float(bandwidth)).logpdf(at.T))
    method, test = fitted(), np.concatenate(TEST)
    rows, at = method._reduced(lit(0, 60, 1)), method._reduced(test)
    assert method.score(test) == pytest.approx(-log_density(rows, at, method.density.bandwidth), rel=1e-9)


def test_in_many_dimensions_the_density_is_exact_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its usual leaves scikit-learn's tree is off by hundreds there."""
    random = np.random.default_rng(0)
    spread = np.linspace(0.3, 0.03, 131)
    images = np.clip(128 + 255 * spread[:, None] * random.normal(size=(131, 400)), 0, 255).T.reshape(400, 131, 1, 1)
    monkeypatch.setattr(kde, "BANDWIDTHS", np.array([0.05]))
    training, test = np.split(images.astype(np.uint8), [300])
    method = KernelDensityEstimate(explained=0.999).fit(training, FitContext(seed=0))
    wanted = -log_density(method._reduced(training), method._reduced(test), 0.05)
    assert method.score(test) == pytest.approx(wanted, rel=1e-9)


def test_the_images_are_normalised_scaled_and_reduced_as_ruff_s() -> None:
    images, method = lit(0, 60, 1), fitted()
    normalised = contrast_normalised(flattened(images))
    scaled = (normalised - normalised.min()) / np.ptp(normalised)
    centred = scaled - scaled.mean(axis=0)
    _, deviations, axes = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    shares = np.cumsum(deviations**2) / np.sum(deviations**2)
    kept = int(np.searchsorted(shares, 0.95)) + 1
    reduced = method._reduced(images)
    assert reduced.shape == (60, kept)
    assert np.abs(reduced) == pytest.approx(np.abs(centred @ axes[:kept].T), abs=1e-4)


def test_what_all_training_images_share_is_in_no_component_but_in_the_pixels() -> None:
    """The two halves differ in nothing else."""
    reduced, whole = (auroc_of(fitted(n=256, explained=share), 0) for share in (0.95, 1.0))
    assert reduced < 0.8 < 0.99 < whole


def test_the_bandwidth_is_the_candidate_of_the_best_held_out_likelihood() -> None:
    assert pytest.approx([2 ** (-4.5 + 0.5 * i) for i in range(20)]) == BANDWIDTHS
    method = fitted(seed=3)
    rows = method._reduced(lit(0, 60, 1))
    folds = list(KFold(5, shuffle=True, random_state=derive_seed(3, "folds") % 2**32).split(rows))
    held_out = [
        np.mean([log_density(rows[train], rows[test], bandwidth).sum() for train, test in folds])
        for bandwidth in BANDWIDTHS
    ]
    assert method.density.bandwidth == BANDWIDTHS[int(np.argmax(held_out))]
    assert 0 < np.argmax(held_out) < 19


def test_folds_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.model_selection

    seen: list[Any] = []

    class Watched(KFold):
        def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
            folds = list(super().split(X, y, groups))
            seen.append([test.tolist() for _, test in folds])
            return iter(folds)

    monkeypatch.setattr(sklearn.model_selection, "KFold", Watched)
    for seed in (0, 0, 1):
        np.random.rand(7)  # noqa: NPY002
        fitted(seed=seed)
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
    assert [len(fold) for fold in seen[0]] == [12] * 5


def test_the_score_of_an_image_is_its_own_and_repeats() -> None:
    method, images = fitted(), np.concatenate(TEST)
    scores = method.score(images)
    assert np.array_equal(scores, fitted().score(images))
    assert np.concatenate([method.score(images[i : i + 1]) for i in range(100)]) == pytest.approx(scores, rel=1e-6)


def test_colour_and_few_images() -> None:
    colour = fitted(channels=3)
    assert np.isfinite(colour.score(lit(1, 9, 5, channels=3))).all()
    assert np.isfinite(fitted(n=3).score(TEST[0])).all()
    with pytest.raises(BenchError, match="two images"):
        fitted(n=1)
