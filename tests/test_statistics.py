"""Comparisons over blocks: against scipy, scikit-posthocs and a published example; what they refuse; bench stats."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
import scipy.stats
from cli import python_prints
from projects import Project, invoked
from records import make_record, put_quickstart, scored

from bench.cli.stats import stats as stats_command
from bench.errors import BenchError
from bench.record import Record
from bench.report.figures.ranks import critical_difference
from bench.report.selection import Selection, select
from bench.report.statistics.intervals import paired_auroc_test
from bench.report.statistics.ranking import Blocks, Ranking, blocks, rank_methods
from bench.store import Store

matplotlib.use("Agg")


def as_blocks(frame: pd.DataFrame, metric: str = "auroc", datasets: int = 1) -> Blocks:
    """Blocks with these figures, their classes shared out among some datasets."""
    rows = [(f"data{number % datasets}", "official_split", str(number)) for number in range(len(frame))]
    index = pd.MultiIndex.from_tuples(rows, names=["dataset", "protocol", "normal class"])
    return Blocks(frame.set_axis(index), metric, [1] * len(frame), 0)


def drawn(seed: int, count: int, methods: int, decimals: int = 8) -> pd.DataFrame:
    """AUROCs of methods that differ a little; with few decimals there are ties."""
    rng = np.random.default_rng(seed)
    figures = 0.8 + 0.1 * rng.standard_normal((count, methods)) + 0.05 * np.arange(methods)
    return pd.DataFrame(figures.round(decimals), columns=[f"m{number}" for number in range(methods)])


def chosen(*records: Record) -> Selection:
    return select(records, lambda record: True)


# ---------------------------------------------------------------------------------------------------------------------
# Against other code on the same frame


@pytest.mark.parametrize("decimals", [8, 1], ids=["no ties", "ties"])
@pytest.mark.parametrize(("count", "methods"), [(7, 3), (10, 4), (60, 5)])
def test_the_tests_are_those_of_scipy_and_scikit_posthocs(count: int, methods: int, decimals: int) -> None:
    frame = drawn(count, count, methods, decimals)
    found = rank_methods(as_blocks(frame))
    expected = scipy.stats.friedmanchisquare(*(frame[label] for label in frame))
    assert (found.friedman, found.friedman_p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.nemenyi is not None
    nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(frame)
    pd.testing.assert_frame_equal(found.nemenyi.loc[frame.columns, frame.columns], nemenyi)
    holm = scikit_posthocs.posthoc_wilcoxon(frame.melt(), val_col="value", group_col="variable", p_adjust="holm")
    pd.testing.assert_frame_equal(found.wilcoxon_holm.loc[frame.columns, frame.columns], holm, check_names=False)
    assert found.ranks.to_dict() == pytest.approx(
        dict(zip(frame, scipy.stats.rankdata(-frame.to_numpy(), axis=1).mean(axis=0), strict=True))
    )
    assert list(found.ranks) == sorted(found.ranks)


@pytest.mark.parametrize("seed", range(6))
def test_mean_ranks_differ_by_more_than_the_critical_difference_where_nemenyi_says_so(seed: int) -> None:
    found = rank_methods(as_blocks(drawn(seed, 20, 6)))
    assert found.nemenyi is not None
    assert found.critical_difference is not None
    for a, b in combinations(found.ranks.index, 2):
        apart = abs(found.ranks[a] - found.ranks[b]) > found.critical_difference
        assert apart == (found.nemenyi.loc[a, b] < found.alpha)
        assert apart != any({a, b} <= set(clique) for clique in found.cliques)
    for one, other in combinations(found.cliques, 2):
        assert not set(one) <= set(other)
        assert not set(other) <= set(one)


# ---------------------------------------------------------------------------------------------------------------------
# Against the example of Demšar (2006)

RANKS = [
    (4, 3, 2, 1),
    (1, 2, 3, 4),
    (4, 1, 2, 3),
    (4, 1, 3, 2),
    (4, 2, 3, 1),
    (1, 2.5, 4, 2.5),
    (3, 2, 4, 1),
    (2.5, 2.5, 4, 1),
    (4, 3, 2, 1),
    (2.5, 2.5, 2.5, 2.5),
    (4, 2.5, 1, 2.5),
    (3, 2, 4, 1),
    (4, 1, 2, 3),
    (3, 1, 4, 2),
]
"""Ranks of four variants of C4.5 on fourteen data sets (his Table 6): plain, with m tuned, with cf tuned, with both."""


def demsar(alpha: float) -> Ranking:
    frame = 5.0 - pd.DataFrame(RANKS, columns=["plain", "m", "cf", "both"])
    return rank_methods(as_blocks(frame, datasets=14), alpha)


def test_the_published_example_has_its_ranks_and_friedmans_statistic() -> None:
    found = demsar(0.05)
    assert found.ranks.round(3).to_dict() == {"both": 1.964, "m": 2.0, "cf": 2.893, "plain": 3.143}
    squares = sum(rank**2 for rank in found.ranks)
    assert 12 * 14 / (4 * 5) * (squares - 4 * 5**2 / 4) == pytest.approx(9.28, abs=0.005), "as published, ties ignored"
    # three pairs of ties and one of all four: Σ(t³ − t) = 3 · 6 + 60, of at most 14 · (4³ − 4)
    assert found.friedman == pytest.approx(9.2786 / (1 - 78 / 840), abs=0.001)
    assert not found.notes, "fourteen data sets, one block each: nothing to warn of"


@pytest.mark.parametrize(
    ("alpha", "difference", "cliques"),
    [(0.05, 1.25, [("both", "m", "cf", "plain")]), (0.10, 1.12, [("both", "m", "cf"), ("cf", "plain")])],
)
def test_the_published_example_has_its_critical_difference_and_groups(
    alpha: float, difference: float, cliques: list[tuple[str, ...]]
) -> None:
    found = demsar(alpha)
    assert found.critical_difference == pytest.approx(difference, abs=0.005)
    assert list(found.cliques) == cliques


@pytest.mark.parametrize(("methods", "quantile"), [(3, 2.343), (4, 2.569), (5, 2.728), (7, 2.949), (10, 3.164)])
def test_critical_differences_follow_from_the_published_quantiles(methods: int, quantile: float) -> None:
    found = rank_methods(as_blocks(drawn(0, 9, methods)))
    expected = quantile * math.sqrt(methods * (methods + 1) / (6 * 9))
    assert found.critical_difference == pytest.approx(expected, rel=5e-4)


def test_the_diagram_of_the_published_example() -> None:
    found = demsar(0.10)
    (axes,) = critical_difference(found).axes
    drawn_bars = [
        list(line.get_xdata()) for line in axes.lines if len(set(line.get_ydata())) == 1 and line.get_marker() != "|"
    ]
    groups = [["both", "m", "cf"], ["cf", "plain"]]
    assert sorted(drawn_bars) == [[found.ranks[each] for each in group] for group in groups]
    (ruler,) = [line for line in axes.lines if line.get_marker() == "|"]
    assert np.ptp(ruler.get_xdata()) == pytest.approx(1.12, abs=0.005)
    texts = [text.get_text() for text in axes.texts]
    assert {"both (1.96)", "m (2.00)", "(2.89) cf", "(3.14) plain"} < set(texts)
    assert "critical difference 1.12 (α = 0.1)" in texts


def test_a_diagram_of_two_methods_is_refused() -> None:
    with pytest.raises(BenchError, match="needs three methods; for two there is the signed-rank test"):
        critical_difference(rank_methods(as_blocks(drawn(0, 8, 2))))


# ---------------------------------------------------------------------------------------------------------------------
# Particular cases


def test_the_best_rank_goes_to_the_lowest_rate_and_to_the_highest_of_other_figures() -> None:
    frame = pd.DataFrame({"low": [0.1] * 6, "middle": [0.5] * 6, "high": [0.9] * 6})
    assert list(rank_methods(as_blocks(frame, "auroc")).ranks.index) == ["high", "middle", "low"]
    assert list(rank_methods(as_blocks(frame, "average_precision")).ranks.index) == ["high", "middle", "low"]
    assert list(rank_methods(as_blocks(frame, "fpr_at_95_tpr")).ranks.index) == ["low", "middle", "high"]


@pytest.mark.parametrize("count", [6, 60])
@pytest.mark.filterwarnings("error")
def test_methods_that_do_the_same_do_not_differ(count: int) -> None:
    same = rank_methods(as_blocks(pd.DataFrame(dict.fromkeys("abc", np.linspace(0.5, 0.9, count)))))
    assert (same.friedman, same.friedman_p) == (0, 1)
    assert (same.wilcoxon_holm == 1).all(axis=None)
    assert same.cliques == [("a", "b", "c")]
    assert any(note.startswith("Friedman's test finds no difference at level 0.05") for note in same.notes)


def test_two_methods_have_the_signed_rank_test_alone() -> None:
    frame = drawn(3, 10, 2)
    found = rank_methods(as_blocks(frame))
    assert found.wilcoxon_holm.loc["m0", "m1"] == pytest.approx(scipy.stats.wilcoxon(frame["m0"], frame["m1"]).pvalue)
    assert (found.friedman, found.nemenyi, found.critical_difference, list(found.cliques)) == (None, None, None, [])
    assert "two methods: the signed-rank test alone, for Friedman's and Nemenyi's need three" in found.notes


def test_too_little_data_is_refused_with_what_would_do() -> None:
    with pytest.raises(BenchError, match="needs two methods or more, not 1"):
        rank_methods(as_blocks(drawn(0, 10, 1)))
    with pytest.raises(
        BenchError, match=r"comparison of 3 methods needs 6 complete blocks .* or more, and there are 5"
    ):
        rank_methods(as_blocks(drawn(0, 5, 3)))
    assert scipy.stats.wilcoxon(np.arange(1, 6)).pvalue > 0.05, "five blocks can never do"
    assert scipy.stats.wilcoxon(np.arange(1, 7)).pvalue < 0.05


def test_a_comparison_says_where_holms_correction_leaves_no_pair_a_chance() -> None:
    few, enough = (rank_methods(as_blocks(drawn(0, count, 7))).notes for count in (9, 10))
    assert any("9 blocks are too few for signed-rank tests of 21 pairs" in note for note in few)
    assert not any("too few" in note for note in enough)


@pytest.mark.parametrize(("datasets", "said"), [(1, "10 blocks come from 1 dataset."), (2, "come from 2 datasets.")])
def test_a_comparison_says_that_classes_of_one_dataset_are_not_independent(datasets: int, said: str) -> None:
    note = rank_methods(as_blocks(drawn(0, 10, 3), datasets=datasets)).notes[-1]
    assert said in note
    assert "Classes of one dataset are not independent" in note


# ---------------------------------------------------------------------------------------------------------------------
# From records to blocks


def test_a_block_is_the_mean_over_seeds_of_each_method_in_one_class() -> None:
    figures = {("a", "1"): (0.5, 0.7), ("b", "1"): (0.9, 0.9), ("a", "2"): (0.6, 0.8), ("b", "2"): (0.7, 0.7)}
    records = [
        make_record(method=method, normal_class=name, seed=seed, auroc=value)
        for (method, name), values in figures.items()
        for seed, value in enumerate(values)
    ]
    found = blocks([chosen(*records)])
    assert list(found.frame.columns) == ["a", "b"]
    assert list(found.frame.index) == [("mnist", "official_split", "1"), ("mnist", "official_split", "2")]
    assert found.frame.to_numpy() == pytest.approx(np.array([[0.6, 0.9], [0.7, 0.7]]))
    assert (list(found.seeds), found.dropped, list(found.notes)) == ([2, 2], 0, [])
    lower = blocks([chosen(*records)], ["b", "a"], "fpr_at_95_tpr")
    assert list(lower.frame.columns) == ["b", "a"]
    assert lower.frame.iloc[0].tolist() == pytest.approx([0.1, 0.4])


def test_incomplete_blocks_are_dropped_and_it_is_said_how_many_and_for_want_of_what() -> None:
    records = [make_record(method="a", normal_class=name) for name in "1234"]
    records += [make_record(method="b", normal_class="1"), make_record(method="b", normal_class="2", status="failed")]
    records += [make_record(method="b", normal_class="4", seed=1), make_record(method="c", normal_class="1")]
    found = blocks([chosen(*records)])
    assert [name for _, _, name in found.frame.index] == ["1"]
    assert found.dropped == 3
    assert found.notes == ["left out: 3 of 4 blocks are incomplete; missing: c in 3, b in 2"]
    two = blocks([chosen(*records)], ["a", "b"])
    assert two.notes == ["left out: 3 of 4 blocks are incomplete; missing: b in 2, a seed that all have in 1"]
    with pytest.raises(BenchError, match=r"(?s)needs 6 complete blocks .* there are 1; .*3 of 4 blocks are incomplete"):
        rank_methods(found)


def test_methods_are_compared_on_the_seeds_that_all_of_them_have() -> None:
    records = [make_record(method="a", seed=seed, auroc=value) for seed, value in enumerate((0.5, 0.6, 0.9))]
    records += [make_record(method="b", seed=seed, auroc=0.7) for seed in (0, 1)]
    found = blocks([chosen(*records)])
    assert found.frame.iloc[0].tolist() == pytest.approx([0.55, 0.7])
    assert list(found.seeds) == [2]
    assert found.notes == ["left out: 1 records of seeds that not every method has in that block"]


def test_selections_of_one_dataset_and_protocol_are_one_and_others_add_blocks() -> None:
    ours, theirs = make_record(method="a"), make_record(method="b")
    elsewhere = [make_record(method=method, dataset="digits") for method in "ab"]
    otherwise = [make_record(method=method, protocol="holdout_80_20") for method in "ab"]
    found = blocks([chosen(ours), chosen(theirs, ours), chosen(*elsewhere), chosen(*otherwise)])
    assert [(dataset, protocol) for dataset, protocol, _ in found.frame.index] == [
        ("mnist", "official_split"),
        ("digits", "official_split"),
        ("mnist", "holdout_80_20"),
    ]
    assert found.dropped == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"profile": "cpu"}, {"dataset": "digits"}),
        ({"max_train": 100}, {"dataset": "digits"}),
        ({"precision": "bf16"}, {"dataset": "digits"}),
        ({"protocol_version": 2}, {"dataset": "digits"}),
        ({"dataset_checksum": "d" * 64}, {}),
    ],
    ids=lambda other: next(iter(other), ""),
)
def test_records_of_different_settings_are_not_compared(first: dict[str, Any], second: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match="different settings cannot stand in one comparison; choose with --profile"):
        blocks([chosen(make_record(**first)), chosen(make_record(**second))])


def test_unknown_methods_and_metrics_are_answered_with_the_nearest() -> None:
    with pytest.raises(BenchError, match=r"no method with records called 'ocsv'; did you mean ocsvm\?"):
        blocks([chosen(make_record())], ["ocsv"])
    with pytest.raises(BenchError, match=r"no metric called 'auc'.*auroc"):
        blocks([chosen(make_record())], metric="auc")


def test_importing_costs_nothing_before_something_is_compared(tmp_path: Path) -> None:
    heavy = "scipy,pandas,scikit_posthocs,matplotlib,sklearn"
    code = (
        "import sys, bench.report.statistics.ranking, bench.report.statistics.intervals, bench.cli.stats; "
        f"print([name for name in '{heavy}'.split(',') if name in sys.modules])"
    )
    assert python_prints("-c", code, folder=tmp_path, python=sys.executable) == "[]\n"


# ---------------------------------------------------------------------------------------------------------------------
# bench stats

LABELS = np.repeat([0, 1], [40, 60]).astype(np.uint8)


@pytest.fixture
def stats(project: Project) -> Callable[..., Any]:
    """``bench stats`` in a folder with records of three methods on eight classes of digits, two seeds each."""
    put_quickstart(Store(project.root / "results/runs"), LABELS, {"ocsvm": {}, "pca": {}, "mean_image": {}}, classes=8)
    command = invoked(stats_command)
    return lambda *words: command(*words).stdout


def test_stats_say_what_was_compared_with_what_outcome_and_end_with_the_warning(stats: Callable[..., str]) -> None:
    text = stats("quickstart")
    lines = text.splitlines()
    assert lines[0] == "quickstart: digits, holdout_80_20 (version 1), profile cpu"
    assert lines[1] == "8 blocks (dataset × protocol × class), each a mean over 2 seeds"
    assert [line.split()[0] for line in lines[5:8]] == ["ocsvm", "pca", "mean_image"]
    assert "Friedman: χ² = " in text
    assert "2 degrees of freedom" in text
    assert "Nemenyi: mean ranks more than 1.17 apart differ (α = 0.05)" in text
    assert sum(line.startswith(("ocsvm  ", "pca  ")) for line in lines) == 2 + 3, "two ranks and three pairs"
    assert any("stale" in line for line in lines)
    assert lines[-1].startswith("the 8 blocks come from 1 dataset. Classes of one dataset are not independent")


def test_stats_as_json_are_the_comparison(stats: Callable[..., str]) -> None:
    facts = json.loads(stats("quickstart", "--json"))
    frame = pd.DataFrame([block["means"] for block in facts["blocks"]])
    expected = rank_methods(as_blocks(frame))
    assert facts["mean_ranks"] == pytest.approx(expected.ranks.to_dict())
    assert facts["friedman"]["p"] == pytest.approx(expected.friedman_p)
    assert facts["critical_difference"] == pytest.approx(expected.critical_difference)
    assert [tuple(clique) for clique in facts["cliques"]] == list(expected.cliques)
    assert len(facts["pairs"]) == 3
    for pair in facts["pairs"]:
        assert pair["wilcoxon_holm"] == pytest.approx(expected.wilcoxon_holm.loc[pair["first"], pair["second"]])
        differences = frame[pair["first"]] - frame[pair["second"]]
        assert pair["difference"] == pytest.approx(differences.mean())
        interval = scipy.stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        assert pair["interval"] == pytest.approx(list(interval))
    assert facts["blocks"][0]["normal_class"] == "0"
    assert (facts["dropped"], facts["blocks"][0]["seeds"]) == (0, 2)


def test_stats_of_two_methods_by_class_are_paired_tests(stats: Callable[..., str]) -> None:
    asked = ("quickstart", "--by-class", "--methods", "pca,ocsvm")
    facts = json.loads(stats(*asked, "--json"))
    assert [each["normal_class"] for each in facts["classes"]] == [str(number) for number in range(8)]
    first = facts["classes"][0]
    assert list(first["intervals"]) == ["pca", "ocsvm"]
    assert first["seeds"] == [0, 1]
    tests = [paired_auroc_test(LABELS, scored(LABELS, 1.5, 100 + seed), scored(LABELS, 2, seed)) for seed in (0, 1)]
    mean = sum(test.difference for test in tests) / 2
    assert first["difference"]["difference"] == pytest.approx(mean)
    assert max(test.p or 0 for test in tests) < 0.05 < first["difference"]["p"], "two seeds that differ by so much"
    text = stats(*asked)
    assert f"{mean:+.3f} [" in text
    assert "95 % intervals over seeds: what other test images and training again would change" in text
    assert text.splitlines()[-1].startswith("p is not corrected for the number of classes")


def test_stats_of_one_seed_have_an_interval_and_no_p(stats: Callable[..., str]) -> None:
    asked = ("quickstart", "--by-class", "--methods", "pca,ocsvm", "--seeds", "1")
    found = json.loads(stats(*asked, "--json"))["classes"][0]["difference"]
    test = paired_auroc_test(LABELS, scored(LABELS, 1.5, 100), scored(LABELS, 2, 0))
    assert (found["low"], found["high"], found["p"]) == (test.low, test.high, None)
    text = stats(*asked)
    assert text.splitlines()[4].endswith("  –")
    assert "for this one training; training again may change more, so there is no p" in text
    assert "p is not corrected" not in text


def test_stats_of_more_methods_by_class_are_intervals(stats: Callable[..., str]) -> None:
    text = stats("quickstart", "--by-class")
    assert text.splitlines()[2].split() == ["class", "seeds", "ocsvm", "mean_image", "pca"]
    assert "what other test images and training again would change" in text
    assert "p is not corrected" not in text


def test_stats_refuse_with_a_reason(stats: Callable[..., str]) -> None:
    for arguments, reason in (
        (("quickstart", "--methods", "pca"), "needs two methods or more"),
        (("quickstart", "--methods", "knn"), "no method with records called 'knn'"),
        (("quickstart", "--by-class", "--metric", "average_precision"), "goes with --metric auroc alone"),
        (("quickstart", "--profile", "paper"), "no records for quickstart and profile paper"),
        (("mnist",), "no records for mnist in"),
        (("quickstat",), "did you mean quickstart"),
    ):
        with pytest.raises(BenchError, match=reason):
            stats(*arguments)


def test_stats_read_the_scores_of_the_reference_run_where_there_are_no_others(
    stats: Callable[..., str], project: Project
) -> None:
    own = stats("quickstart", "--by-class")
    (project.root / "results/runs").rename(project.root / "results/reference")
    assert stats("quickstart", "--by-class") == own
