"""Figures against their definitions, counted out pair by pair and threshold by threshold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics import CHOSEN_BY_LABELS, auroc, f1_max, measured

relaxed = settings(deadline=None, max_examples=60)


@st.composite
def results(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels, both there, and scores, with few enough levels for ties."""
    labels = [0, 1, *draw(st.lists(st.integers(0, 1), max_size=60))]
    levels = draw(st.sampled_from([2, 5, 20, 1000]))
    scores = draw(st.lists(st.integers(-levels, levels), min_size=len(labels), max_size=len(labels)))
    return np.array(labels, dtype=np.uint8), np.array(scores, dtype=np.float64)


def ranked(labels: np.ndarray, scores: np.ndarray) -> float:
    """The share of (anomalous, normal) pairs in which the anomalous image scores higher, a tie being half."""
    pairs = scores[labels == 1][:, np.newaxis] - scores[labels == 0]
    return float((pairs > 0).mean() + (pairs == 0).mean() / 2)


def false_alarms(labels: np.ndarray, scores: np.ndarray) -> float:
    """The least share of normal images above a threshold that at least 95 % of the anomalous ones reach."""
    anomalous, normal = scores[labels == 1], scores[labels == 0]
    return min(float((normal >= t).mean()) for t in np.unique(scores) if (anomalous >= t).mean() >= 0.95)


def mean_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """The precision at each threshold, weighed by the recall that it adds."""
    total, before = 0.0, 0.0
    for t in np.unique(scores)[::-1]:
        found = scores >= t
        recall = float((scores[labels == 1] >= t).mean())
        total += (recall - before) * float(labels[found].mean())
        before = recall
    return total


@relaxed
@given(results())
def test_figures_are_what_counting_gives(result: tuple[np.ndarray, np.ndarray]) -> None:
    found = measured(*result)
    assert found.keys() == {"auroc", "average_precision", "fpr_at_95_tpr"}
    assert found["auroc"] == pytest.approx(ranked(*result), abs=1e-12)
    assert found["average_precision"] == pytest.approx(mean_precision(*result), abs=1e-12)
    assert found["fpr_at_95_tpr"] == pytest.approx(false_alarms(*result), abs=1e-12)
    assert auroc(*result) == found["auroc"]


def test_false_alarms_are_read_off_between_the_corners_of_the_curve() -> None:
    # every level holds one normal and one anomalous image: the curve is one straight line of 20 steps
    labels, scores = np.tile([0, 1], 20).astype(np.uint8), np.repeat(np.arange(20.0), 2)
    assert measured(labels, scores)["fpr_at_95_tpr"] == pytest.approx(0.95)


@relaxed
@given(
    results(),
    st.sampled_from([lambda s: 3 * s - 5, lambda s: np.exp(s / 100), lambda s: np.arctan(s), lambda s: s**3]),
)
def test_figures_depend_on_the_order_of_the_scores_alone(
    result: tuple[np.ndarray, np.ndarray], rising: Callable[[np.ndarray], np.ndarray]
) -> None:
    labels, scores = result
    assert measured(labels, rising(scores)) == measured(labels, scores)


@relaxed
@given(results())
def test_reversed_scores_give_the_complement(result: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = result
    assert auroc(labels, -scores) == pytest.approx(1 - auroc(labels, scores), abs=1e-12)


def test_constant_scores_are_worth_half() -> None:
    labels = np.array([0, 0, 1, 0], dtype=np.uint8)
    assert measured(labels, np.full(4, 7.0)) == {"auroc": 0.5, "average_precision": 0.25, "fpr_at_95_tpr": 1.0}


def test_perfect_scores_are_worth_one() -> None:
    labels = np.array([0, 1, 1, 0], dtype=np.uint8)
    found = measured(labels, labels.astype(np.float32))
    assert found == {"auroc": 1.0, "average_precision": 1.0, "fpr_at_95_tpr": 0.0}


@relaxed
@given(results())
def test_the_best_f1_is_the_best_over_every_threshold(result: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = result
    hits = [(int(labels[scores >= t].sum()), int((scores >= t).sum())) for t in np.unique(scores)]
    assert f1_max(*result) == pytest.approx(max(2 * hit / (called + labels.sum()) for hit, called in hits), abs=1e-12)
    assert "f1_max" in CHOSEN_BY_LABELS
    assert not CHOSEN_BY_LABELS & measured(*result).keys()
