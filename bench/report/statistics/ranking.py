"""Whether methods differ over many blocks: ranks and tests for (dataset, protocol, normal class) × method.

Friedman's test with Nemenyi's, and pairwise signed-rank tests with Holm's correction, as recommended by Demšar,
"Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006).
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import BenchError, unknown
from bench.metrics import HIGHER_IS_BETTER
from bench.record import Record
from bench.report.selection import Selection

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MINIMUM_BLOCKS = 6
"""With five, not even five wins out of five reach 5 % in a two-sided signed-rank test: p = 2 / 2⁵ = 0.0625."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Complete blocks: figures that can be ranked against each other."""

    frame: DataFrame
    """A row for each (dataset, protocol, normal class), a column for each label: the mean over seeds."""
    metric: str
    seeds: Sequence[int]
    """For each row, over how many seeds its means are."""
    dropped: int
    """How many blocks were left out because a label has no figure in them."""
    notes: Sequence[str] = ()


class Pair(NamedTuple):
    """Two methods, the better ranked first, and what the tests say of them."""

    first: str
    second: str
    difference: float
    """Mean over the blocks of first − second."""
    interval: tuple[float, float] | None
    """Of that mean."""
    wilcoxon_holm: float
    nemenyi: float | None


@dataclass(frozen=True, eq=False)
class Ranking:
    """What the blocks say about the methods. For two methods there are ranks and the signed-rank test alone."""

    blocks: Blocks
    alpha: float
    ranks: Series
    """Mean rank of each label over the blocks, best first; 1 is the best rank, ties share theirs."""
    wilcoxon_holm: DataFrame
    """Label × label: p of the two-sided signed-rank test, after Holm's correction for the number of pairs."""
    notes: Sequence[str]
    friedman: float | None = None
    """Friedman's χ², corrected for ties, with one degree of freedom less than there are methods."""
    friedman_p: float | None = None
    nemenyi: DataFrame | None = None
    """Label × label: p of Nemenyi's test, which allows for the number of methods."""
    critical_difference: float | None = None
    """Mean ranks that lie further apart than this differ at level ``alpha`` by Nemenyi's test."""
    cliques: Sequence[tuple[str, ...]] = ()
    """The largest sets of labels in which Nemenyi's test tells none from another, each in order of rank."""

    @property
    def pairs(self) -> list[Pair]:
        """Each pair of labels with the difference between them and its p."""
        found = []
        for a, b in combinations(self.ranks.index, 2):
            differences = list(self.blocks.frame[a] - self.blocks.frame[b])
            p = None if self.nemenyi is None else float(self.nemenyi.loc[a, b])
            mean, interval = statistics.fmean(differences), interval_of_mean(differences)
            found.append(Pair(a, b, mean, interval, float(self.wilcoxon_holm.loc[a, b]), p))
        return found


def interval_of_mean(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the values' mean, by Student's t; None for fewer than two."""
    from scipy import stats

    if len(values) < 2:
        return None
    error = statistics.stdev(values) / math.sqrt(len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    mean = statistics.fmean(values)
    return mean - half, mean + half


def shown_difference(pair: Pair) -> str:
    """The difference of a pair with its interval, as tables print it."""
    low, high = pair.interval or (math.nan, math.nan)
    return f"{pair.difference:+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "−")


def shown_p(p: float) -> str:
    """A p as tables print it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def done_runs(
    records: Iterable[Record], labels: Iterable[str]
) -> defaultdict[str, defaultdict[str, dict[int, Record]]]:
    """The records of the labels that ended well, by normal class, label and seed; empty where there are none."""
    wanted = set(labels)
    found: defaultdict[str, defaultdict[str, dict[int, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        if record.status == "done" and record.job.label in wanted:
            found[record.job.normal_class][record.job.label][record.job.seed] = record
    return found


def shared_seeds(by_label: Mapping[str, Mapping[int, Record]]) -> list[int]:
    """The seeds that every label has: only on these did all meet the same images."""
    return sorted(set.intersection(*map(set, by_label.values()))) if by_label else []


def blocks(selections: Iterable[Selection], labels: Sequence[str] | None = None, metric: str = "auroc") -> Blocks:
    """The complete blocks of some labels, or of every label that has a record; a cell is a mean over shared seeds.

    Selections of one dataset and protocol are taken together. Raises BenchError for an unknown label or metric, and
    for selections of different profiles, training caps, precisions, protocol versions or data.
    """
    from pandas import DataFrame, MultiIndex

    if metric not in HIGHER_IS_BETTER:
        raise unknown("metric", metric, HIGHER_IS_BETTER)
    grouped = _grouped(selections)
    known = sorted({record.job.label for parts in grouped.values() for part in parts for record in part.records})
    columns = known if labels is None else list(dict.fromkeys(labels))
    for label in columns:
        if label not in known:
            raise unknown("method with records", label, known)
    rows: dict[tuple[str, str, str], list[float]] = {}
    seeds = []
    lacking: Counter[str] = Counter()
    dropped = unshared = 0
    for (dataset, protocol), parts in grouped.items():
        by_class = done_runs((record for part in parts for record in part.records), columns)
        for name in dict.fromkeys(name for part in parts for name in part.classes):
            found = {label: by_class[name][label] for label in columns}
            shared = shared_seeds(found)
            if not shared:
                dropped += 1
                lacking.update([label for label in columns if not found[label]] or ["a seed that all have"])
                continue
            rows[dataset, protocol, name] = [
                statistics.fmean(own[seed].metrics[metric] for seed in shared) for own in found.values()
            ]
            seeds.append(len(shared))
            unshared += sum(len(own) - len(shared) for own in found.values())
    notes = []
    if dropped:
        who = ", ".join(f"{label} in {number}" for label, number in lacking.most_common())
        notes.append(f"left out: {dropped} of {dropped + len(rows)} blocks are incomplete; missing: {who}")
    if unshared:
        notes.append(f"left out: {unshared} records of seeds that not every method has in that block")
    index = MultiIndex.from_tuples(list(rows), names=["dataset", "protocol", "normal class"]) if rows else None
    return Blocks(DataFrame(list(rows.values()), index=index, columns=columns), metric, seeds, dropped, notes)


def rank_methods(blocks: Blocks, alpha: float = 0.05) -> Ranking:
    """The tests on the blocks. Raises BenchError for fewer than two methods or six blocks, saying what would do."""
    _require_enough(blocks)
    ranks = blocks.frame.rank(axis=1, ascending=not HIGHER_IS_BETTER[blocks.metric]).mean().sort_values(kind="stable")
    frame = blocks.frame[list(ranks.index)]
    count, methods = frame.shape
    notes = list(blocks.notes)
    pairs = math.comb(methods, 2)
    smallest = min(1.0, pairs * 2 / 2**count)
    if smallest > alpha:
        notes.append(
            f"{count} blocks are too few for signed-rank tests of {pairs} pairs: "
            f"after Holm's correction no p can be below {smallest:.2g}"
        )
    holm, independence = _wilcoxon_holm(frame), _independence(blocks)
    if methods == 2:
        notes.append("two methods: the signed-rank test alone, for Friedman's and Nemenyi's need three")
        return Ranking(blocks, alpha, ranks, holm, [*notes, *independence])
    import scikit_posthocs
    from scipy.stats import studentized_range

    friedman, friedman_p = _friedman(frame)
    if friedman_p > alpha:
        notes.append(f"Friedman's test finds no difference at level {alpha:g}; tests of pairs should then not be read")
    nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(frame.reset_index(drop=True))
    quantile = studentized_range.ppf(1 - alpha, methods, math.inf) / math.sqrt(2)
    return Ranking(
        blocks,
        alpha,
        ranks,
        holm,
        [*notes, *independence],
        friedman=friedman,
        friedman_p=friedman_p,
        nemenyi=nemenyi,
        critical_difference=float(quantile * math.sqrt(methods * (methods + 1) / (6 * count))),
        cliques=_cliques(nemenyi, alpha),
    )


def _grouped(selections: Iterable[Selection]) -> dict[tuple[str, str], list[Selection]]:
    """Selections by dataset and protocol. Raises BenchError where they do not belong into one comparison."""
    grouped: dict[tuple[str, str], list[Selection]] = defaultdict(list)
    for selection in selections:
        grouped[selection.setting.dataset, selection.setting.protocol].append(selection)
    settings = {selection.setting for parts in grouped.values() for selection in parts}
    budgets = {each._replace(dataset="", dataset_checksum="", protocol="", protocol_version=0) for each in settings}
    versions = {(each.protocol, each.protocol_version) for each in settings}
    if len(budgets) > 1 or len(settings) > len(grouped) or len(versions) > len({name for name, _ in versions}):
        listed = "".join(f"\n  {each.describe()}" for each in sorted(settings, key=str))
        raise BenchError(f"records of different settings cannot stand in one comparison; choose with --profile{listed}")
    return grouped


def _require_enough(blocks: Blocks) -> None:
    count, methods = blocks.frame.shape
    why = "".join(f"\n{note}" for note in blocks.notes)
    if methods < 2:
        raise BenchError(f"a comparison needs two methods or more, not {methods}; name others with --methods")
    if count < MINIMUM_BLOCKS:
        raise BenchError(
            f"a comparison of {methods} methods needs {MINIMUM_BLOCKS} complete blocks (dataset × protocol × class) "
            f"or more, and there are {count}; run more classes, or leave methods out with --methods{why}"
        )


def _friedman(frame: DataFrame) -> tuple[float, float]:
    from scipy.stats import friedmanchisquare

    if (frame.nunique(axis=1) == 1).all():  # scipy divides by zero where every block is one tie
        return 0.0, 1.0
    result = friedmanchisquare(*(frame[label] for label in frame))
    return float(result.statistic), float(result.pvalue)


def _wilcoxon_holm(frame: DataFrame) -> DataFrame:
    from pandas import DataFrame
    from scipy.stats import wilcoxon
    from statsmodels.stats.multitest import multipletests

    pairs = list(combinations(frame.columns, 2))
    # scipy has no p for more than fifty differences that are all zero
    raw = [1.0 if frame[a].equals(frame[b]) else float(wilcoxon(frame[a], frame[b]).pvalue) for a, b in pairs]
    matrix = DataFrame(1.0, index=frame.columns, columns=frame.columns)
    for (a, b), p in zip(pairs, multipletests(raw, method="holm")[1], strict=True):
        matrix.loc[a, b] = matrix.loc[b, a] = float(p)
    return matrix


def _cliques(p: DataFrame, alpha: float) -> list[tuple[str, ...]]:
    """Of labels in order of rank, every longest run whose ends are not told apart: p falls as ranks part."""
    together = p.to_numpy() > alpha
    found: list[tuple[str, ...]] = []
    reached = 0
    for first in range(len(p)):
        last = max(place for place in range(len(p)) if together[first, place])
        if last > max(first, reached):
            found.append(tuple(p.columns[first : last + 1]))
            reached = last
    return found


def _independence(blocks: Blocks) -> list[str]:
    """A note where several blocks come from one dataset."""
    count = len(blocks.frame)
    datasets = blocks.frame.index.get_level_values("dataset").nunique()
    if datasets == count:
        return []
    return [
        f"the {count} blocks come from {datasets} dataset{'s' * (datasets > 1)}. Classes of one dataset are not "
        "independent: they share their images, and what is normal for one is an anomaly for the others. Neither are "
        "two protocols on one dataset. The tests take blocks to be independent: their p are smaller than they should be"
    ]
