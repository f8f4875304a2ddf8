"""AUPRO as public implementations define it, each in our own words; docs/localisation.md names them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from localisations import regions

Definition = Callable[[np.ndarray, np.ndarray, float], float]


def area(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)


def parts(scores: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """The scores of each region."""
    return [np.array([scores[pixel] for pixel in region]) for region in regions(mask)]


def corners(found: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ROC curve with a corner for each distinct score."""
    levels = np.unique(np.concatenate([found, normal]))[::-1]
    rates = [[0.0, *((part >= level).mean() for level in levels)] for part in (normal, found)]
    return np.array(rates[0]), np.array(rates[1])


def mvtec(scores: np.ndarray, mask: np.ndarray, limit: float) -> float:
    """Every distinct score is a threshold; the mean overlap is read at the limit itself, and the area divided by it."""
    normal = scores[~mask]
    levels = np.unique(scores)[::-1]
    rates = np.array([0.0, *((normal >= level).mean() for level in levels)])
    overlap = np.array([0.0, *(np.mean([(part >= level).mean() for part in parts(scores, mask)]) for level in levels)])
    end = np.flatnonzero(rates >= limit)[0]
    last = np.interp(limit, rates[end - 1 : end + 1], overlap[end - 1 : end + 1])
    return area(np.append(rates[:end], limit), np.append(overlap[:end], last)) / limit


def anomalib_2_2(scores: np.ndarray, mask: np.ndarray, limit: float) -> float:
    """Each region has a curve of its own up to the limit, whose corners are stretched over as many samples as the curve
    of all pixels has corners there; they are averaged by number, the area divided by the last averaged rate."""
    normal = scores[~mask]
    count = int((corners(scores[mask], normal)[0] <= limit).sum())
    rates, overlaps = [], []
    for part in parts(scores, mask):
        rate, overlap = corners(part, normal)
        below = rate[rate <= limit].max()
        kept = np.flatnonzero(rate <= (limit if below else rate[rate > limit].min()))
        position, samples = kept / kept.max() * (count - 1), np.arange(count, dtype=float)
        if below and not np.isclose(below, limit):
            # the next corner is taken as well; the last sample alone is moved back to the limit
            following = kept[-1] + 1
            kept = np.append(kept, following)
            position = kept / following * (count - 1)
            way = (limit - rate[following - 1]) / (rate[following] - rate[following - 1])
            samples[-1] = position[-2] + way * (position[-1] - position[-2])
        rates.append(np.interp(samples, position, rate[kept]))
        overlaps.append(np.interp(samples, position, overlap[kept]))
    rate, overlap = np.mean(rates, axis=0), np.mean(overlaps, axis=0)
    order = np.argsort(rate, kind="stable")
    return area(rate[order], overlap[order]) / float(rate[-1])


def stepped(scores: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """200 thresholds in equal steps, the highest first; a score has to exceed them."""
    steps = np.linspace(scores.min(), scores.max(), 200, endpoint=False)[::-1]
    rates = np.array([(scores[~mask] > step).mean() for step in steps])
    return rates, np.array([np.mean([(part > step).mean() for part in parts(scores, mask)]) for step in steps])


def ader(scores: np.ndarray, mask: np.ndarray, limit: float) -> float:
    """Rates below the limit, whichever the steps hit, stretched to 0..1."""
    rates, overlap = stepped(scores, mask)
    below = rates < limit
    rates = rates[below]
    return area((rates - rates.min()) / (rates.max() - rates.min()), overlap[below])


def pyramidflow(scores: np.ndarray, mask: np.ndarray, limit: float) -> float:
    """The area under all of the curve: no limit."""
    return area(*stepped(scores, mask))
