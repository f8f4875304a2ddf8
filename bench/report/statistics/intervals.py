"""How sure an AUROC is, and a difference of two: intervals and paired tests, for other test images and other seeds.

The AUROC is a mean over test images of their placements: which part of the other class's images an image is ranked
rightly against. The spread of the placements gives its variance, and images that two methods both scored give the
covariance: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988). Sorted scores give the placements in O(n log n),
the cost that Sun and Xu reach by midranks, IEEE Signal Processing Letters 21 (2014).

Of detectors that were trained once, that is all that can be known: what other test images would change. Of a mean over
several seeds, it is half of it, for training again changes the AUROC too, and tests of one training call differences
real that the next one turns round. So an interval over seeds has two parts, each with its own Student's t: the variance
of the mean over test images (DeLong's, each image counted once, however many seeds it was tested in) and the variance
over seeds divided by their number. Half of its width is √(t₁² · test images + t₂² · seeds).

That holds the truth at least as often as it says, with two seeds too: given both variances, the part of all samples
within the interval is a concave function of its squared half width; each t makes that part 95 % on average where its
variance is the only one, and by concavity a mixture of the two has no less. Adding the variances with one t for both
(Satterthwaite's) does not: simulated, such 95 % intervals held the truth in 88 % with two seeds, where training
mattered most, and DeLong's alone in 30 to 45 %. Where seeds have test images of their own, as in an 80/20 holdout,
what these change is in both parts, and the interval is wider than need be.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.record import Arrays, Record
from bench.report.selection import Selection
from bench.report.statistics.ranking import done_runs, shared_seeds

CONFIDENCE = 0.95

SMALLEST_P = 1e-15

NEGLIGIBLE = 1e-24
"""A variance that is rounding error: a single placement that differs by one rank among 100 000 images gives more."""


@dataclass(frozen=True)
class Interval:
    """An AUROC and its confidence interval."""

    auroc: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Two AUROCs on the same images, first − second with its confidence interval, and p for no difference."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float | None
    """None where each method was trained once: what training again would change is not known then."""


@dataclass(frozen=True)
class ClassFigures:
    """What the records of one normal class say of some labels."""

    normal_class: str
    seeds: Sequence[int]
    """The AUROCs are means over these seeds, which all of the labels with an interval have.

    Of one seed, intervals are of the test images alone, for this one training.
    """
    intervals: Mapping[str, Interval]
    """By label; a label without a record of these seeds has none."""
    difference: Difference | None = None
    """The first label less the second where there are two."""


@dataclass(frozen=True)
class _Estimate:
    """A mean AUROC, and how far each test image moves it: the squares of ``influence`` add up to its variance."""

    auroc: float
    influence: NDArray[np.float64]
    smaller: int
    """Number of images of the smaller class."""
    runs: NDArray[np.float64]
    """The AUROC of each seed."""


def auroc_interval(labels: NDArray[Any], scores: NDArray[np.floating[Any]], confidence: float = CONFIDENCE) -> Interval:
    """The AUROC of one detector and its confidence interval.

    ``labels`` (n,) are 0 normal and 1 anomalous; ``scores`` (n,) are finite, larger = more anomalous. Raises BenchError
    for fewer than two images of either class.

    The interval is Wilson's score interval for a proportion with DeLong's variance put in: the proportion is the AUROC,
    the number of trials is what gives a proportion that variance, and the normal quantile is one of Student's t with
    the degrees of freedom that the fourth powers of the images' influences leave to the variance. Where the variance
    is 0 (AUROC 0 or 1, all scores equal) there are as many trials as images in the smaller class, the least that any
    scores with this AUROC allow (Birnbaum and Klose, Annals of Mathematical Statistics 28, 1957); such an interval is
    wider than that of an AUROC just below 1.

    Measured on normally distributed scores, 6000 simulated tests each: 95 % intervals hold the true AUROC in 93 to 97 %
    for AUROCs of 0.5 to 0.97 and 36 to 1000 images in either class, equal in number or not. With 14 in each, or 36 in
    each and an AUROC of 0.99, they are wider than need be (96 to 99 %). They are too narrow where few anomalous images
    with scattered scores (twice the deviation of many normal ones) decide: 92, 90 and 80 % at 0.95, 0.97 and 0.99 with
    36 anomalous and 300 normal. The percentiles of a bootstrap, for comparison: 92 % at 0.9 and 88 % at 0.97 with 36
    in each.
    """
    return _interval(_estimate(labels, scores), confidence)


def paired_auroc_test(
    labels: NDArray[Any],
    first: NDArray[np.floating[Any]],
    second: NDArray[np.floating[Any]],
    confidence: float = CONFIDENCE,
) -> Difference:
    """The difference of two detectors' AUROC on the same images, its confidence interval, and p for no difference.

    It is of these two detectors as they were fitted, on other test images: not of training them again. ``labels`` (n,),
    and the scores ``first`` and ``second`` (n,) each, are as in ``auroc_interval``.

    This is the test of DeLong et al. with Student's t in place of the normal distribution, its degrees of freedom as in
    ``auroc_interval``; from 200 images a class on the two hardly differ. Where that variance is 0 (the same order of
    scores, both AUROCs 1), the interval is Wilson's for an event that none of the smaller class's images has shown.

    Measured on normally distributed scores that correlate by 0.2 or 0.8, AUROCs of 0.7 to 0.97 and 36 to 300 images in
    a class, 1000 simulated tests each: 95 % intervals hold the true difference in 94 to 98 %.
    """
    return _difference(_estimate(labels, first), _estimate(labels, second), confidence)


def class_figures(
    selection: Selection,
    labels: Sequence[str],
    arrays: Callable[[Record], Arrays],
    confidence: float = CONFIDENCE,
) -> list[ClassFigures]:
    """For each class of a selection: the labels' mean AUROCs over seeds with their intervals; of two, the difference.

    With two seeds or more, intervals and p allow for other test images and for training again. ``arrays`` reads what a
    record stored, as ``Store.scores`` does. Raises BenchError where the labels' records were not tested on the same
    images, or on fewer than two of either kind.
    """
    made = []
    by_class = done_runs(selection.records, labels)
    for name in selection.classes:
        found = {label: by_class[name][label] for label in labels if by_class[name][label]}
        seeds = shared_seeds(found)
        runs = [_same_images([own[seed] for own in found.values()], arrays) for seed in seeds]
        means = {label: _mean([run[place] for run in runs]) for place, label in enumerate(found)} if runs else {}
        intervals = {label: _interval(mean, confidence) for label, mean in means.items()}
        pair = [means[label] for label in labels if label in means] if len(labels) == 2 else []
        difference = _difference(pair[0], pair[1], confidence) if len(pair) == 2 else None
        if difference is not None and len(seeds) < 2:
            difference = dataclasses.replace(difference, p=None)
        made.append(ClassFigures(name, seeds, intervals, difference))
    return made


def _estimate(labels: NDArray[Any], scores: NDArray[np.floating[Any]]) -> _Estimate:
    anomalous, normal = labels == 1, labels == 0
    anomalies, normals = int(anomalous.sum()), int(normal.sum())
    if min(anomalies, normals) < 2:
        raise BenchError(
            "an interval of the AUROC needs two normal and two anomalous test images or more; "
            f"here are {normals} normal and {anomalies} anomalous"
        )
    above = _beaten(scores[anomalous], scores[normal])
    below = 1 - _beaten(scores[normal], scores[anomalous])
    auroc = float(above.mean())
    influence = np.empty(len(scores))
    influence[anomalous] = (above - auroc) / math.sqrt(anomalies * (anomalies - 1))
    influence[normal] = (below - auroc) / math.sqrt(normals * (normals - 1))
    return _Estimate(auroc, influence, min(anomalies, normals), np.array([auroc]))


def _beaten(scores: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """For each score, which part of the others lies below it; ties count half."""
    others = np.sort(others)
    return (np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")) / (2 * len(others))


def _mean(runs: Sequence[Arrays]) -> _Estimate:
    """The mean AUROC of several runs; an image that several have tested moves the mean once, by all of them."""
    parts = [_estimate(run["labels"], run["scores"]) for run in runs]
    images, places = np.unique(np.concatenate([run["indices"] for run in runs]), return_inverse=True)
    influence = np.bincount(places, np.concatenate([part.influence for part in parts]), len(images)) / len(runs)
    aurocs = np.array([part.auroc for part in parts])
    return _Estimate(math.fsum(aurocs) / len(parts), influence, min(part.smaller for part in parts), aurocs)


def _interval(estimate: _Estimate, confidence: float) -> Interval:
    auroc, level = estimate.auroc, 1 - confidence
    variance, reach = _tested(estimate.influence, level)
    if not variance:
        ratio = reach / estimate.smaller
    else:
        ratio = (reach * variance + _trained(estimate.runs, level)) / (auroc * (1 - auroc))
    centre = (auroc + ratio / 2) / (1 + ratio)
    half = math.sqrt(auroc * (1 - auroc) * ratio + ratio**2 / 4) / (1 + ratio)
    return Interval(auroc, max(0.0, min(auroc, centre - half)), min(1.0, max(auroc, centre + half)))


def _difference(first: _Estimate, second: _Estimate, confidence: float) -> Difference:
    gap = first.auroc - second.auroc
    influence, runs = first.influence - second.influence, first.runs - second.runs

    def half(level: float) -> float:
        variance, reach = _tested(influence, level)
        # without a variance, Wilson's bound for what happened to none of the images in the smaller class
        tested = reach * variance if variance else (reach / (reach + first.smaller)) ** 2
        return math.sqrt(tested + _trained(runs, level))

    low, high = max(-1.0, gap - half(1 - confidence)), min(1.0, gap + half(1 - confidence))
    return Difference(first.auroc, second.auroc, gap, low, high, _level_of(abs(gap), half))


def _level_of(gap: float, half: Callable[[float], float]) -> float:
    """p: the level at which an interval just reaches over the gap; 0 below what can be told from 0."""
    from scipy.optimize import bisect

    if gap == 0:
        return 1.0
    if half(SMALLEST_P) <= gap:
        return 0.0
    return math.exp(bisect(lambda x: half(math.exp(x)) - gap, math.log(SMALLEST_P), 0.0))


def _tested(influence: NDArray[np.float64], level: float) -> tuple[float, float]:
    """The variance over test images, 0 where it is rounding error, and its squared quantile."""
    from scipy.special import ndtri, stdtrit

    variance = float((influence**2).sum())
    if variance < NEGLIGIBLE:
        return 0.0, float(ndtri(level / 2)) ** 2
    return variance, float(stdtrit(_degrees(influence), level / 2)) ** 2


def _trained(runs: NDArray[np.float64], level: float) -> float:
    """The variance of a mean over seeds times its squared quantile; 0 for one seed, which has none to show."""
    from scipy.special import stdtrit

    if len(runs) < 2:
        return 0.0
    return float(stdtrit(len(runs) - 1, level / 2)) ** 2 * float(runs.var(ddof=1)) / len(runs)


def _degrees(influence: NDArray[np.float64]) -> float:
    """Satterthwaite's degrees of freedom of a variance that is a sum of squares: 2 variance² / its own variance.

    Few where few images decide, as near an AUROC of 1.
    """
    squares = influence**2
    return float(2 * squares.sum() ** 2 / (squares**2).sum())


def _same_images(records: Sequence[Record], arrays: Callable[[Record], Arrays]) -> list[Arrays]:
    """What the records stored. Raises BenchError where they were not tested on the same images."""
    read = [arrays(record) for record in records]
    for record, own in zip(records, read, strict=True):
        same = record.split["fingerprint"] == records[0].split["fingerprint"] and all(
            np.array_equal(own[name], read[0][name]) for name in ("indices", "labels")
        )
        if not same:
            raise BenchError(
                f"records {records[0].job.key[:12]} ({records[0].job.title}) and {record.job.key[:12]} "
                f"({record.job.label}) were not tested on the same images and cannot be compared; "
                "repeat one of them with bench run --rerun all"
            )
    return read
