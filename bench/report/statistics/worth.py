"""How much a criterion without labels is worth, held against test AUROCs that only labels tell.

Of each choice among candidates that were all tested: the rank correlation of the criterion's figures with the test
AUROC, and the regret of what it chooses, beside those of the default and of a candidate drawn by lot. Means are over
classes, each of which counts once, with Student's interval.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.choice import figures_of
from bench.criterion import Criterion
from bench.method import Scores
from bench.recommendation import places
from bench.record import Record
from bench.report.statistics.ranking import interval_of_mean

Class = tuple[str, str]
"""A data set, and the normal class in it."""

METHODS = "methods"
"""What is chosen among where candidates are methods, each with its default setting."""


@dataclass(frozen=True)
class Candidate:
    """A setting, or a method, that was fitted without labels and tested."""

    auroc: float
    """Of the test: what a criterion does not see."""
    figures: Mapping[str, float]
    """By the spec of a criterion."""
    is_default: bool = False


@dataclass(frozen=True)
class Trial:
    """One choice: on a normal class of a data set, among the settings of one method or among several methods."""

    dataset: str
    normal_class: str
    among: str
    candidates: Mapping[str, Candidate]
    """By label."""


@dataclass(frozen=True)
class Outcome:
    """What came of choosing. A regret is how far the test AUROC of a choice lies below that of the best candidate.

    ``correlation``: Spearman's, of the criterion's figures, more being better, with test AUROCs; None where one of them
    has no order. ``default``: None where no candidate is the default.
    """

    chosen: Sequence[str]
    """Several where the criterion finds them equally good; regrets are means over these then."""
    correlation: float | None
    regret: float
    default: float | None
    random: float


@dataclass(frozen=True)
class Mean:
    """A mean over classes with its 95 % interval, which two classes at least have."""

    value: float
    low: float | None
    high: float | None
    classes: int


@dataclass(frozen=True)
class Worth:
    """What a way of choosing is worth, as means over classes."""

    choices: int
    correlation: Mean | None
    regret: Mean
    default: Mean | None
    random: Mean
    against_default: Mean | None
    """The regret − the default's: below 0 it is better."""
    against_random: Mean


def trials(
    tests: Iterable[Record], fits: Iterable[Record], criteria: Sequence[Criterion], scores: Callable[[Record], Scores]
) -> list[Trial]:
    """The choices that records allow to replay: among the settings of each method, and among methods (``methods``).

    ``tests`` are tested jobs, ``fits`` those of the same settings on training images alone; ``scores`` are of a fit's
    held-out images (n,). What has not both is left out. A test AUROC is the mean over seeds, unless each seed has fits
    of its own. Criteria that compare settings alone have no figure among methods.
    """
    tested: dict[tuple[object, ...], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for record in tests:
        if record.status == "done" and not record.job.tuning:
            tested[_place(record)][record.job.label][record.job.seed] = record.metrics["auroc"]
    fitted: dict[tuple[object, ...], dict[int, dict[str, list[Record]]]] = defaultdict(lambda: defaultdict(dict))
    for record in fits:
        if record.status == "done" and record.job.tuning:
            fitted[_place(record)][record.job.seed].setdefault(record.job.label, []).append(record)
    found = []
    for place, by_seed in fitted.items():
        for seed, own in by_seed.items():
            aurocs = {
                label: statistics.fmean(each.values() if len(by_seed) == 1 else [each[seed]])
                for label, each in tested[place].items()
                if label in own and (len(by_seed) == 1 or seed in each)
            }
            groups: dict[str, list[str]] = defaultdict(list)
            for label in aurocs:
                groups[own[label][0].job.method].append(label)
            groups[METHODS] = [label for label in aurocs if _is_default(label)]
            for among, labels in groups.items():
                asked = [each for each in criteria if among != METHODS or each.across_methods]
                if len(labels) > 1:
                    defaults = [] if among == METHODS else [label for label in labels if _is_default(label)]
                    candidates = _candidates({label: own[label] for label in labels}, aurocs, asked, scores, defaults)
                    job = own[labels[0]][0].job
                    found.append(Trial(job.dataset, job.normal_class, among, candidates))
    return found


def outcome(trial: Trial, criteria: Sequence[Criterion]) -> Outcome | None:
    """What comes of choosing by a criterion, or by the mean place that several give, as ``bench choose`` does.

    None where they have figures of fewer than two candidates.
    """
    figures = {
        criterion: {
            label: [each.figures[criterion.spec]]
            for label, each in trial.candidates.items()
            if criterion.spec in each.figures
        }
        for criterion in criteria
    }
    place = places(spoken) if (spoken := {criterion: own for criterion, own in figures.items() if own}) else {}
    if len(place) < 2:
        return None
    aurocs = {label: each.auroc for label, each in trial.candidates.items()}
    best = max(aurocs.values())
    chosen = [label for label, each in place.items() if each == min(place.values())]
    default = next((each.auroc for each in trial.candidates.values() if each.is_default), None)
    return Outcome(
        chosen,
        _spearman([-each for each in place.values()], [aurocs[label] for label in place]),
        statistics.fmean(best - aurocs[label] for label in chosen),
        None if default is None else best - default,
        statistics.fmean(best - auroc for auroc in aurocs.values()),
    )


def worth(trials: Iterable[Trial], criteria: Sequence[Criterion]) -> Worth | None:
    """What a criterion, or several together, are worth over trials; None where they say nothing in any."""
    by_class: dict[Class, list[Outcome]] = defaultdict(list)
    for trial in trials:
        if (found := outcome(trial, criteria)) is not None:
            by_class[trial.dataset, trial.normal_class].append(found)
    if not by_class:
        return None
    defaults = {name: [o.default for o in own if o.default is not None] for name, own in by_class.items()}
    gains = {name: [o.regret - o.default for o in own if o.default is not None] for name, own in by_class.items()}
    correlations = {name: [o.correlation for o in own if o.correlation is not None] for name, own in by_class.items()}
    regret = _over_classes({name: [o.regret for o in own] for name, own in by_class.items()})
    random = _over_classes({name: [o.random for o in own] for name, own in by_class.items()})
    against = _over_classes({name: [o.regret - o.random for o in own] for name, own in by_class.items()})
    assert regret is not None
    assert random is not None
    assert against is not None
    return Worth(
        sum(map(len, by_class.values())),
        _over_classes(correlations),
        regret,
        _over_classes(defaults),
        random,
        _over_classes(gains),
        against,
    )


def _place(record: Record) -> tuple[object, ...]:
    """What is chosen for; its seed apart."""
    job = record.job
    return job.dataset, job.protocol, job.normal_class, job.profile, job.max_train, job.contamination


def _is_default(label: str) -> bool:
    return "(" not in label


def _candidates(
    fits: Mapping[str, Sequence[Record]],
    aurocs: Mapping[str, float],
    criteria: Sequence[Criterion],
    scores: Callable[[Record], Scores],
    defaults: Sequence[str],
) -> dict[str, Candidate]:
    figures: dict[str, dict[str, float]] = defaultdict(dict)
    for criterion in criteria:
        for label, own in figures_of(criterion, fits, scores).items():
            figures[label][criterion.spec] = statistics.median(own)
    return {label: Candidate(aurocs[label], figures[label], label in defaults) for label in fits}


def _over_classes(values: Mapping[Class, Sequence[float]]) -> Mean | None:
    means = [statistics.fmean(own) for own in values.values() if own]
    if not means:
        return None
    low, high = interval_of_mean(means) or (None, None)
    return Mean(statistics.fmean(means), low, high, len(means))


def _spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    found = float(spearmanr(a, b).statistic)
    return None if math.isnan(found) else found
