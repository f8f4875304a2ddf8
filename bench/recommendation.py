"""Which detector several criteria prefer together, and how sure that is; no label has a part in it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.criterion import Criterion
from bench.randomness import derive_seed

DRAWS = 2000
"""Resamplings of criteria and fits."""

Figures = Mapping[Criterion, Mapping[str, Sequence[float]]]
"""By criterion and by the label of a detector, the figures of its fits."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recommendation:
    """Detectors by their mean place among all, from 0, better than every other by every criterion, to 1, worse.

    ``order`` has the labels from the best; ``first`` how often each is that where criteria, and the fit that each goes
    by, are drawn anew with replacement. ``agreement`` is Kendall's W of the criteria: 1 where all put detectors in one
    order, 0 where none agree; None where not every criterion knows every detector.
    """

    order: Sequence[str]
    place: Mapping[str, float]
    first: Mapping[str, float]
    agreement: float | None


def recommend(figures: Figures) -> Recommendation:
    """The recommendation of criteria, each of which counts alike: Borda's count.

    After Goswami et al., Unsupervised model selection for time-series anomaly detection, ICLR 2023. A criterion that
    says nothing of a detector does not count for it. There is at least one figure.
    """
    labels = _labels(figures)
    generator = np.random.default_rng(derive_seed("recommendation"))
    by_criterion = _median_places(figures, labels)
    mean = np.nanmean(by_criterion, axis=0)
    best_first = np.argsort(mean, kind="stable")

    drawn = np.stack([_places(_drawn(c, own, labels, generator), labels) for c, own in figures.items()], axis=1)
    weights = generator.multinomial(len(figures), np.full(len(figures), 1 / len(figures)), DRAWS)[..., None]
    counted = (weights * ~np.isnan(drawn)).sum(axis=1)
    sums = np.nansum(weights * drawn, axis=1)
    means = np.where(counted, sums / counted.clip(1), np.inf)[:, best_first]  # of equal ones the better on the whole
    firsts = np.bincount(means.argmin(axis=1), minlength=len(labels)) / DRAWS
    return Recommendation(
        order=[labels[i] for i in best_first],
        place=dict(zip(labels, mean.tolist(), strict=True)),
        first={labels[i]: float(share) for i, share in zip(best_first, firsts, strict=True)},
        agreement=_agreement(by_criterion),
    )


def places(figures: Figures) -> dict[str, float]:
    """The mean place of each detector, by which ``recommend`` orders them."""
    labels = _labels(figures)
    mean = np.nanmean(_median_places(figures, labels), axis=0)
    return dict(zip(labels, mean.tolist(), strict=True))


def _labels(figures: Figures) -> list[str]:
    return list(dict.fromkeys(label for own in figures.values() for label in own))


def _median_places(figures: Figures, labels: Sequence[str]) -> Floats:
    """(criteria, labels): the place of each detector by the median of its fits; NaN where a criterion says nothing."""
    worths = [
        {label: np.array([criterion.worth(statistics.median(found))]) for label, found in own.items()}
        for criterion, own in figures.items()
    ]
    return np.stack([_places(own, labels)[0] for own in worths])


def _drawn(
    criterion: Criterion, figures: Mapping[str, Sequence[float]], labels: Sequence[str], generator: np.random.Generator
) -> dict[str, Floats]:
    """What fits (DRAWS,) of each detector that a criterion knows, drawn with replacement, are worth to it."""
    worths = {label: np.array(list(map(criterion.worth, figures[label]))) for label in labels if label in figures}
    return {label: own[generator.integers(len(own), size=DRAWS)] for label, own in worths.items()}


def _places(worths: Mapping[str, Floats], labels: Sequence[str]) -> Floats:
    """(n, labels), of n fits of each detector: the share of the others that are worth more, equal ones counting half.

    NaN where nothing is known of a detector.
    """
    from scipy.stats import rankdata

    ranks = rankdata(-np.stack(list(worths.values()), axis=1), axis=1)
    found = np.full((len(ranks), len(labels)), np.nan)
    found[:, [labels.index(label) for label in worths]] = (ranks - 1) / max(1, len(worths) - 1)
    return found


def _agreement(places: Floats) -> float | None:
    """Kendall's W, with ties as they are: the spread of summed ranks as a share of the largest that there can be."""
    m, n = places.shape
    if n < 2 or m < 2 or np.isnan(places).any():
        return None
    sums = (places * (n - 1) + 1).sum(axis=0)
    return float(12 * ((sums - sums.mean()) ** 2).sum() / (m**2 * (n**3 - n)))
