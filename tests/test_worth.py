"""What a criterion is worth, on choices whose outcome is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import make_job, make_record

from bench.criterion import open_criterion
from bench.method import Scores
from bench.record import Record
from bench.registry import Registry
from bench.report.statistics.worth import METHODS, Candidate, Trial, outcome, trials, worth
from bench.tuning import HeldOut

CRITERIA = Registry("criterion")
LEVEL, MADE, CENTRALITY = (open_criterion(s, CRITERIA) for s in ("held_out_level", "made_anomalies", "centrality"))

pairs = st.lists(st.tuples(st.floats(0, 1), st.floats(-3, 3)), min_size=2, max_size=8)


def trial(aurocs: list[float], figures: list[float | None], name: str = "3", default: int = 0) -> Trial:
    candidates = {
        f"vae(latent={i})": Candidate(auroc, {} if figure is None else {"made_anomalies": figure}, i == default)
        for i, (auroc, figure) in enumerate(zip(aurocs, figures, strict=True))
    }
    return Trial("mnist", name, "vae", candidates)


def test_the_regret_of_the_choice_the_default_and_the_lot() -> None:
    found = outcome(trial([0.8, 0.9, 0.7], [0.1, 0.3, 0.2]), [MADE])
    assert found is not None
    assert found.chosen == ["vae(latent=1)"]
    assert (found.regret, found.default, found.random) == pytest.approx((0.0, 0.1, 0.1))
    assert found.correlation == pytest.approx(0.5)
    worst = outcome(trial([0.8, 0.9, 0.7], [0.1, None, 0.2], default=1), [MADE])
    assert worst is not None
    assert (worst.chosen, worst.default) == (["vae(latent=2)"], 0.0)
    assert worst.regret == pytest.approx(0.2), "the best candidate counts though the criterion does not know it"
    assert outcome(trial([0.8, 0.9], [0.1, None]), [MADE]) is None
    tied = outcome(trial([0.8, 0.9, 0.7], [0.3, 0.3, 0.1]), [MADE])
    assert tied is not None
    assert tied.regret == pytest.approx(0.05), "of equally good ones each is as likely to be taken"


def test_criteria_together_choose_by_the_mean_of_their_places() -> None:
    figures = [
        {"made_anomalies": made, "held_out_level": level} for made, level in ((0.3, 2.0), (0.2, 1.0), (0.1, 5.0))
    ]
    aurocs = {"vae": 0.7, "vae(latent=8)": 0.9, "vae(latent=9)": 0.8}
    candidates = {label: Candidate(auroc, own) for (label, auroc), own in zip(aurocs.items(), figures, strict=True)}
    made, both, none = (
        outcome(Trial("mnist", "3", "vae", candidates), way) for way in ([MADE], [MADE, LEVEL], [CENTRALITY])
    )
    assert made is not None
    assert both is not None
    assert none is None
    assert made.chosen == ["vae"]
    assert both.chosen == ["vae", "vae(latent=8)"], "each is best by one and second by the other"
    assert both.regret == pytest.approx(0.1)
    assert outcome(Trial("mnist", "3", "vae", candidates), [MADE, CENTRALITY]) == made, "what says nothing has no vote"


@given(pairs)
def test_no_choice_is_better_than_the_best_and_the_order_alone_counts(known: list[tuple[float, float]]) -> None:
    aurocs, figures = [auroc for auroc, _ in known], [figure for _, figure in known]
    found = outcome(trial(aurocs, list(figures)), [MADE])
    assert found is not None
    assert found.regret >= 0
    assert found.default is not None
    assert 0 <= found.random <= max(aurocs) - min(aurocs) + 1e-12
    assert outcome(trial(aurocs, [2 * figure for figure in figures]), [MADE]) == found
    oracle = outcome(trial(aurocs, list(aurocs)), [MADE])
    assert oracle is not None
    assert oracle.regret == 0


def test_means_are_over_classes_each_of_which_counts_once() -> None:
    first, other = trial([0.8, 0.9], [0.1, 0.3], "3"), trial([0.8, 0.9], [0.3, 0.1], "4")
    found = worth([first, first, first, other], [MADE])
    assert found is not None
    assert found.choices == 4
    assert (found.regret.value, found.regret.classes) == (pytest.approx(0.05), 2)
    assert found.correlation is not None
    assert found.correlation.value == pytest.approx(0.0)
    assert found.regret.low is not None
    assert found.regret.low < 0.05
    assert found.against_default is not None
    assert found.against_default.value == pytest.approx(-0.05)
    assert found.against_random.value == pytest.approx(0.0)
    alone = worth([first], [MADE])
    assert alone is not None
    assert alone.regret.low is None
    assert worth([first], [LEVEL]) is None


def test_choices_are_replayed_from_records() -> None:
    tests: list[Record] = []
    fits: list[Record] = []
    for method, label, auroc, figure in (
        ("vae", "vae", 0.8, 0.1),
        ("vae", "vae(latent=8)", 0.9, 0.3),
        ("pca", "pca", 0.7, 0.2),
        ("knn", "knn(neighbours=9)", 0.6, 0.2),
    ):
        tests += [make_record(method=method, label=label, auroc=auroc + 0.01 * seed, seed=seed) for seed in (0, 1)]
        for repeat in range(3):
            job = make_job(method=method, label=label, tuning=str(HeldOut(repeat=repeat)))
            figures = {"made_anomalies": figure + 0.1 * repeat, "held_out_level": figure}
            fits.append(dataclasses.replace(make_record(), job=job, metrics={}, criteria=figures))

    def scores(record: Record) -> Scores:
        order = np.arange(30.0)
        return -order if record.job.method == "pca" else order

    found = {each.among: each for each in trials([*tests, *fits], fits, [LEVEL, MADE, CENTRALITY], scores)}
    assert set(found) == {"vae", METHODS}
    assert list(found["vae"].candidates) == ["vae", "vae(latent=8)"]
    assert found["vae"].candidates["vae"].auroc == pytest.approx(0.805)
    assert found["vae"].candidates["vae"].is_default
    assert found["vae"].candidates["vae(latent=8)"].figures == pytest.approx(
        {"made_anomalies": 0.4, "held_out_level": 0.3, "centrality": 1.0}
    )
    assert found[METHODS].candidates.keys() == {"vae", "pca"}
    assert not any(each.is_default for each in found[METHODS].candidates.values())
    assert found[METHODS].candidates["pca"].figures == pytest.approx({"made_anomalies": 0.3, "centrality": -1.0})
