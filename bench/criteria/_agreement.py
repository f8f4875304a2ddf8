"""Rank agreement of detectors on the same images."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from bench.method import Scores


def spearman(a: Scores, b: Scores) -> float | None:
    """Spearman's correlation of two detectors' scores (n,), ties at their mean rank; None where one has no order."""
    from scipy.stats import rankdata

    ranks = rankdata(a), rankdata(b)
    if any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def mean_agreement(pairs: Iterable[tuple[Scores, Scores]]) -> float | None:
    """The mean of Spearman's correlation over pairs of detectors; None where no pair has one."""
    found = [each for pair in pairs if (each := spearman(*pair)) is not None]
    return float(np.mean(found)) if found else None


def among(fits: Sequence[Scores]) -> Iterable[tuple[Scores, Scores]]:
    """Every two of the fits."""
    return itertools.combinations(fits, 2)
