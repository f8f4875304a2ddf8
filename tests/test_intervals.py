"""Confidence intervals of the AUROC and paired tests: against their definitions, and how often they hold the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from records import make_record
from scipy.special import ndtri
from scipy.stats import bootstrap, t

from bench.errors import BenchError
from bench.metrics import auroc
from bench.record import Arrays, Record
from bench.report.selection import select
from bench.report.statistics.intervals import (
    ClassFigures,
    Difference,
    auroc_interval,
    class_figures,
    paired_auroc_test,
)

Floats = NDArray[np.float64]


def labels_of(anomalies: int, normals: int) -> NDArray[np.uint8]:
    return np.repeat([1, 0], [anomalies, normals]).astype(np.uint8)


def binormal(
    rng: np.random.Generator, labels: NDArray[np.uint8], true: float, common: Floats | float = 0.0, share: float = 0.0
) -> Floats:
    """Normally distributed scores whose AUROC is ``true`` in the population: Φ(d / √2) at a distance d of the means.

    ``share`` of their variance is that of ``common`` (n,), standard normal, which other scores may hold too.
    """
    own = rng.standard_normal(len(labels))
    return np.sqrt(share) * common + np.sqrt(1 - share) * own + np.sqrt(2) * ndtri(true) * labels


def placements(labels: NDArray[np.uint8], scores: Floats) -> tuple[Floats, Floats]:
    """By definition, over all pairs: of each anomalous and each normal image, the part of the others it is right of."""
    above, below = scores[labels == 1][:, None], scores[labels == 0]
    right = (above > below) + 0.5 * (above == below)
    return right.mean(axis=1), right.mean(axis=0)


# ---------------------------------------------------------------------------------------------------------------------
# How often they hold the truth


@pytest.mark.parametrize(
    ("anomalies", "normals", "true"),
    [
        (36, 36, 0.7),
        (36, 36, 0.9),
        (36, 300, 0.6),
        (300, 36, 0.8),
        (300, 36, 0.95),
        (100, 100, 0.97),
        (1000, 100, 0.9),
        (500, 500, 0.5),
    ],
)
def test_intervals_hold_the_true_auroc_in_93_to_97_percent_of_simulated_tests(
    anomalies: int, normals: int, true: float
) -> None:
    rng = np.random.default_rng(0)
    labels = labels_of(anomalies, normals)
    intervals = [auroc_interval(labels, binormal(rng, labels, true)) for _ in range(2000)]
    held = np.mean([each.low <= true <= each.high for each in intervals])
    assert 0.93 <= held <= 0.97


@pytest.mark.parametrize(("first", "second"), [(0.8, 0.8), (0.9, 0.8)])
def test_intervals_hold_the_true_difference_in_93_to_97_percent_of_simulated_tests(first: float, second: float) -> None:
    rng = np.random.default_rng(1)
    labels = labels_of(100, 60)
    held = rejected = 0
    for _ in range(1000):
        common = rng.standard_normal(len(labels))
        found = paired_auroc_test(labels, *(binormal(rng, labels, true, common, 0.5) for true in (first, second)))
        held += found.low <= first - second <= found.high
        rejected += found.p < 0.05
    assert 930 <= held <= 970
    assert (rejected < 70) if first == second else (rejected > 700)


def test_intervals_of_a_mean_over_seeds_hold_the_truth_though_the_seeds_share_test_images() -> None:
    rng = np.random.default_rng(2)
    labels, true = labels_of(600, 150), 0.9
    held = 0
    for _ in range(600):
        common = rng.standard_normal(len(labels))
        runs = []
        for _seed in range(3):
            tested = np.concatenate([rng.choice(600, 60, replace=False), 600 + rng.choice(150, 60, replace=False)])
            runs.append((labels[tested], binormal(rng, labels, true, common, 0.5)[tested], tested))
        (figures,) = stored({"ocsvm": runs})
        held += figures.intervals["ocsvm"].low <= true <= figures.intervals["ocsvm"].high
    assert held / 600 >= 0.95, "more, since what other test images change is in the spread over seeds too"


def over_seeds(rng: np.random.Generator, true: tuple[float, float], seeds: int, noise: float) -> Difference:
    """Two methods on the same test images: each training of each has a distance of its means of its own, by ``noise``,
    and a part of its scores of its own."""
    labels = labels_of(80, 60)
    common, *own = rng.standard_normal((3, len(labels)))
    runs: dict[str, list[Run]] = {}
    for label, part, auroc_ in zip("ab", own, true, strict=True):
        scores = [
            binormal(rng, labels, auroc_, (common + part) / np.sqrt(2), 0.8) + noise * rng.standard_normal() * labels
            for _ in range(seeds)
        ]
        runs[label] = [(labels, each, np.arange(len(labels))) for each in scores]
    (figures,) = stored(runs)
    assert figures.difference is not None
    return figures.difference


@pytest.mark.parametrize("noise", [0.0, 0.2, 1.0], ids=["alike", "as much as test images", "much more"])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_p_below_5_percent_is_rare_where_methods_differ_by_their_seeds_alone(seeds: int, noise: float) -> None:
    rng = np.random.default_rng(12)
    found = [over_seeds(rng, (0.85, 0.85), seeds, noise) for _ in range(400)]
    held = np.mean([each.low <= 0 <= each.high for each in found])
    assert held >= 0.93
    assert np.mean([each.p is not None and each.p < 0.05 for each in found]) == pytest.approx(1 - held)


def test_a_paired_test_of_one_training_each_calls_differences_real_that_seeds_turn_round() -> None:
    rng = np.random.default_rng(13)
    labels = labels_of(80, 60)
    p = []
    for _ in range(200):
        common = rng.standard_normal(len(labels))
        scores = [binormal(rng, labels, 0.85, common, 0.5) + rng.standard_normal() * labels for _ in "ab"]
        p.append(paired_auroc_test(labels, *scores).p)
    assert np.mean([each is not None and each < 0.05 for each in p]) > 0.5, "which is why one seed has none"


def test_a_difference_that_every_seed_has_is_found() -> None:
    rng = np.random.default_rng(14)
    for seeds, often in ((3, 0.4), (5, 0.9)):
        found = [over_seeds(rng, (0.93, 0.75), seeds, 0.1) for _ in range(100)]
        assert np.mean([each.p is not None and each.p < 0.05 for each in found]) > often
        assert all(each.low <= each.difference <= each.high for each in found)


# ---------------------------------------------------------------------------------------------------------------------
# What they are made of


@st.composite
def pairs_of_scores(draw: st.DrawFn) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Labels in any order, and two detectors' scores with ties."""
    labels = draw(st.permutations([1] * draw(st.integers(2, 8)) + [0] * draw(st.integers(2, 8))))
    scores = st.lists(st.integers(0, 6), min_size=len(labels), max_size=len(labels))
    first, second = (np.array(draw(scores), dtype=float) for _ in range(2))
    return np.array(labels, dtype=np.uint8), first, second


@settings(deadline=None)
@given(pairs_of_scores())
def test_the_variance_of_a_difference_is_delongs(drawn: tuple[NDArray[np.uint8], Floats, Floats]) -> None:
    labels, first, second = drawn
    found = paired_auroc_test(labels, first, second)
    assert found.first == pytest.approx(auroc(labels, first))
    assert found.second == pytest.approx(auroc(labels, second))
    assert found.difference == pytest.approx(found.first - found.second)
    gaps = [a - b for a, b in zip(placements(labels, first), placements(labels, second), strict=True)]
    variance = sum(gap.var(ddof=1) / len(gap) for gap in gaps)
    if variance > 1e-12:
        influence = np.concatenate([(gap - gap.mean()) / np.sqrt(len(gap) * (len(gap) - 1)) for gap in gaps])
        degrees = 2 * variance**2 / (influence**4).sum()
        half = t.ppf(0.975, degrees) * np.sqrt(variance)
        assert found.high == pytest.approx(min(1, found.difference + half))
        assert found.low == pytest.approx(max(-1, found.difference - half))
        assert found.p == pytest.approx(2 * t.sf(abs(found.difference) / np.sqrt(variance), degrees))


@settings(deadline=None)
@given(pairs_of_scores())
def test_an_interval_depends_on_the_order_of_scores_alone(drawn: tuple[NDArray[np.uint8], Floats, Floats]) -> None:
    labels, scores, other = drawn
    found = auroc_interval(labels, scores)
    assert 0 <= found.low <= found.auroc <= found.high <= 1
    assert found.low < found.high
    assert auroc_interval(labels, np.exp(scores) - 3) == found
    turned = auroc_interval(labels, -scores)
    expected = (1 - found.auroc, 1 - found.high, 1 - found.low)
    assert (turned.auroc, turned.low, turned.high) == pytest.approx(expected)
    swapped = auroc_interval(1 - labels, -scores)
    assert (swapped.auroc, swapped.low, swapped.high) == pytest.approx((found.auroc, found.low, found.high))
    one, back = paired_auroc_test(labels, scores, other), paired_auroc_test(labels, other, scores)
    assert (back.difference, back.low, back.high, back.p) == pytest.approx(
        (-one.difference, -one.high, -one.low, one.p)
    )


@settings(deadline=None)
@given(pairs_of_scores())
def test_p_is_below_5_percent_where_the_interval_leaves_out_zero(
    drawn: tuple[NDArray[np.uint8], Floats, Floats],
) -> None:
    found = paired_auroc_test(*drawn)
    if abs(found.p - 0.05) > 1e-9:
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_an_interval_is_as_wide_as_the_spread_of_a_bootstrap_says() -> None:
    rng = np.random.default_rng(3)
    labels = labels_of(200, 150)
    scores = binormal(rng, labels, 0.8)
    found = auroc_interval(labels, scores)

    def resampled(above: Floats, below: Floats) -> float:
        return float(placements(labels, np.concatenate([above, below]))[0].mean())

    samples = (scores[labels == 1], scores[labels == 0])
    drawn = bootstrap(samples, resampled, n_resamples=400, vectorized=False, method="percentile", rng=rng)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(drawn.standard_error, rel=0.1)


def test_more_confidence_is_a_wider_interval() -> None:
    rng = np.random.default_rng(4)
    labels = labels_of(50, 50)
    scores = binormal(rng, labels, 0.8)
    narrow, wide = (auroc_interval(labels, scores, confidence) for confidence in (0.9, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


# ---------------------------------------------------------------------------------------------------------------------
# Where the images show no spread


def test_an_auroc_of_1_or_0_has_an_interval_that_shrinks_with_the_number_of_images() -> None:
    for size, bound in ((14, 0.785), (1000, 0.996)):
        labels = labels_of(size, 2 * size)
        right = auroc_interval(labels, labels.astype(float))
        assert (right.auroc, right.high) == (1, 1)
        assert right.low == pytest.approx(bound, abs=1e-3)
        wrong = auroc_interval(labels, -labels.astype(float))
        assert (wrong.auroc, wrong.low, wrong.high) == pytest.approx((0, 0, 1 - right.low))


def test_equal_scores_have_an_auroc_of_one_half_and_an_interval_around_it() -> None:
    found = auroc_interval(labels_of(20, 30), np.ones(50))
    assert found.auroc == 0.5
    assert 0 < found.low < 0.5 < found.high < 1


def test_the_same_order_of_scores_is_no_difference_yet_not_known_to_be_none() -> None:
    labels = labels_of(20, 30)
    scores = binormal(np.random.default_rng(5), labels, 0.8)
    found = paired_auroc_test(labels, scores, 2 * scores + 1)
    assert (found.difference, found.p) == (0, 1)
    assert found.low == -found.high < 0


def test_perfect_scores_differ_from_constant_and_from_reversed_ones() -> None:
    labels = labels_of(20, 30)
    perfect = labels.astype(float)
    constant = paired_auroc_test(labels, perfect, np.zeros(50))
    assert constant.difference == 0.5
    assert constant.p < 0.001
    assert 0 < constant.low < 0.5 < constant.high < 1
    reversed_ = paired_auroc_test(labels, perfect, -perfect)
    assert (reversed_.difference, reversed_.high, reversed_.p) == (1, 1, 0)


@pytest.mark.parametrize(
    ("anomalies", "normals", "counted"),
    [(5, 0, "0 normal and 5 anomalous"), (0, 5, "5 normal and 0 anomalous"), (1, 9, "9 normal and 1 anomalous")],
)
def test_fewer_than_two_images_of_a_class_are_refused(anomalies: int, normals: int, counted: str) -> None:
    labels = labels_of(anomalies, normals)
    with pytest.raises(BenchError, match=f"two normal and two anomalous test images or more; here are {counted}"):
        auroc_interval(labels, np.arange(len(labels), dtype=float))


# ---------------------------------------------------------------------------------------------------------------------
# From records

Run = tuple[NDArray[np.uint8], Floats, NDArray[np.int64]]
"""Labels, scores and indices of one record; a list holds one for each seed."""


def stored(runs: dict[str, list[Run]], split: Callable[[str, int], str] = lambda label, seed: str(seed)) -> Any:
    """The figures of each class that records with these arrays give, all of class 3."""
    arrays: dict[str, Arrays] = {}
    records: list[Record] = []
    for label, own in runs.items():
        for seed, (labels, scores, indices) in enumerate(own):
            record = make_record(method=label, seed=seed, split=split(label, seed))
            records.append(record)
            arrays[record.job.key] = {"labels": labels, "scores": scores, "indices": indices}
    selection = select(records, lambda record: True)
    return class_figures(selection, list(runs), lambda record: arrays[record.job.key])


def run(rng: np.random.Generator, true: float, first: int = 0) -> Run:
    labels = labels_of(40, 30)
    return labels, binormal(rng, labels, true), np.arange(first, first + len(labels))


def test_one_seed_has_the_interval_of_its_scores_and_two_labels_a_paired_test() -> None:
    rng = np.random.default_rng(6)
    good, bad = run(rng, 0.9), run(rng, 0.7)
    (figures,) = stored({"good": [good], "bad": [bad]})
    assert isinstance(figures, ClassFigures)
    assert (figures.normal_class, list(figures.seeds)) == ("3", [0])
    assert figures.intervals == {"good": auroc_interval(*good[:2]), "bad": auroc_interval(*bad[:2])}
    paired = paired_auroc_test(good[0], good[1], bad[1])
    assert figures.difference == dataclasses.replace(paired, p=None), (
        "one training each: of the methods that tells nothing"
    )
    for others in (["good"], ["good", "bad", "third"]):
        (alone,) = stored({label: [good] for label in others})
        assert alone.difference is None


def test_seeds_that_score_the_same_images_alike_add_no_certainty_and_no_doubt_and_other_images_add_certainty() -> None:
    rng = np.random.default_rng(7)
    once, other = run(rng, 0.8), run(rng, 0.7)
    (single,), (same,) = stored({"a": [once], "b": [other]}), stored({"a": [once] * 4, "b": [other] * 4})
    alike = same.intervals["a"]
    assert (alike.auroc, alike.low, alike.high) == pytest.approx(tuple(vars(single.intervals["a"]).values()))
    assert same.difference.p == pytest.approx(paired_auroc_test(once[0], once[1], other[1]).p)
    elsewhere = (*once[:2], once[2] + 70)
    (two,) = stored({"a": [once, elsewhere]})
    mean = two.intervals["a"]
    assert mean.high - mean.low == pytest.approx((alike.high - alike.low) / np.sqrt(2), rel=0.05)


def test_half_of_an_interval_over_seeds_is_the_root_of_the_squares_of_its_two_parts() -> None:
    rng = np.random.default_rng(15)
    first, second = ([run(rng, true) for true in aurocs] for aurocs in ((0.9, 0.85, 0.8), (0.7, 0.75, 0.6)))
    (found,) = stored({"a": first, "b": second})
    gaps = [auroc(*a[:2]) - auroc(*b[:2]) for a, b in zip(first, second, strict=True)]
    seeds = t.ppf(0.975, 2) * np.std(gaps, ddof=1) / np.sqrt(3)
    influence = []
    for side in (0, 1):
        mean = np.mean(
            [placements(*a[:2])[side] - placements(*b[:2])[side] for a, b in zip(first, second, strict=True)], 0
        )
        influence.append((mean - mean.mean()) / np.sqrt(len(mean) * (len(mean) - 1)))
    each = np.concatenate(influence)
    variance = (each**2).sum()
    images = t.ppf(0.975, 2 * variance**2 / (each**4).sum()) * np.sqrt(variance)
    assert found.difference.difference == pytest.approx(np.mean(gaps))
    assert found.difference.high == pytest.approx(np.mean(gaps) + np.hypot(seeds, images))


def test_means_are_over_the_seeds_that_every_label_has() -> None:
    rng = np.random.default_rng(8)
    first, second = run(rng, 0.8), run(rng, 0.9)
    (figures,) = stored({"a": [first, second], "b": [first]})
    assert list(figures.seeds) == [0]
    assert figures.intervals["a"] == figures.intervals["b"] == auroc_interval(*first[:2])
    assert figures.difference.difference == 0


def test_a_label_without_records_has_no_interval_and_takes_none_from_others() -> None:
    done = run(np.random.default_rng(9), 0.8)
    record, failed = make_record(method="a"), make_record(method="b", status="failed", normal_class="4")
    arrays = dict(zip(("labels", "scores", "indices"), done, strict=True))
    three, four = class_figures(select([record, failed], lambda _: True), ["a", "b"], lambda _: arrays)
    assert (three.normal_class, list(three.intervals), three.difference) == ("3", ["a"], None)
    assert (four.normal_class, four.intervals, list(four.seeds)) == ("4", {}, [])


@pytest.mark.parametrize("what", ["indices", "labels"])
def test_records_of_other_test_images_are_not_paired(what: str) -> None:
    labels, scores, indices = run(np.random.default_rng(10), 0.8)
    other = (labels, scores, indices + 1) if what == "indices" else (1 - labels, scores, indices)
    with pytest.raises(BenchError, match=r"were not tested on the same images .*--rerun all"):
        stored({"a": [(labels, scores, indices)], "b": [other]})


def test_records_of_another_split_are_not_paired() -> None:
    one = run(np.random.default_rng(11), 0.8)
    with pytest.raises(BenchError, match="different splits"):
        stored({"a": [one], "b": [one]}, split=lambda label, seed: label)
