"""Several criteria together: the order of detectors that they make, and how sure it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.criterion import Criterion, open_criterion
from bench.recommendation import recommend
from bench.registry import Registry

CRITERIA = Registry("criterion")
HIGHER, LOWER, THIRD = (open_criterion(spec, CRITERIA) for spec in ("made_anomalies", "mass_volume", "excess_mass"))

figures = st.dictionaries(
    st.sampled_from("abcde"), st.lists(st.floats(-1, 1), min_size=1, max_size=3), min_size=2, max_size=5
)


def test_a_detector_that_is_best_by_every_criterion_comes_first_for_sure() -> None:
    own: dict[Criterion, dict[str, list[float]]] = {
        HIGHER: {"a": [0.5], "b": [0.9, 0.8], "c": [0.6]},
        LOWER: {"a": [0.3], "b": [0.1, 0.2], "c": [0.25]},
    }
    found = recommend(own)
    assert list(found.order) == ["b", "c", "a"]
    assert dict(found.place) == {"b": 0.0, "c": 0.5, "a": 1.0}
    assert dict(found.first) == {"b": 1.0, "c": 0.0, "a": 0.0}
    assert found.agreement == pytest.approx(1.0)


def test_where_criteria_contradict_each_other_nobody_is_sure() -> None:
    found = recommend({HIGHER: {"a": [0.9], "b": [0.1]}, LOWER: {"a": [0.9], "b": [0.1]}})
    assert found.agreement == pytest.approx(0.0)
    assert max(found.first.values()) < 0.9


def test_a_criterion_that_knows_not_all_detectors_counts_for_those_that_it_knows() -> None:
    found = recommend({HIGHER: {"a": [0.9], "b": [0.1], "c": [0.5]}, LOWER: {"c": [0.1], "b": [0.4]}})
    assert found.agreement is None
    assert found.place["a"] == 0.0
    assert found.place["c"] == pytest.approx(0.25)


@given(figures, figures)
def test_places_are_shares_and_firsts_add_up(higher: dict[str, list[float]], lower: dict[str, list[float]]) -> None:
    found = recommend({HIGHER: higher, LOWER: lower})
    assert set(found.order) == {*higher, *lower}
    assert all(0 <= place <= 1 for place in found.place.values())
    assert sum(found.first.values()) == pytest.approx(1.0)
    places = [found.place[label] for label in found.order]
    assert places == sorted(places)


@given(figures)
def test_the_unit_of_a_figure_does_not_matter(own: dict[str, list[float]]) -> None:
    other = {label: [8 * each for each in mine] for label, mine in own.items()}
    assert recommend({THIRD: own}) == recommend({THIRD: other})
