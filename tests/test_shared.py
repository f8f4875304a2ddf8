"""Methods are compared on the classes and seeds that they share: what is left, what is not, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from records import make_record

from bench.record import Record
from bench.report.selection import Means, Selection, select
from bench.report.shared import shared
from bench.report.tables.beside import with_published
from bench.report.tables.published import of_table
from bench.report.tables.table import MEAN, class_table, suite_table

Grid = Mapping[str, Mapping[str, Iterable[int]]]
"""By method and class, the seeds that are there."""


def made(grid: Grid, **facts: Any) -> list[Record]:
    """A record for each place of a grid; its AUROC tells which method, class and seed it is of."""
    return [
        make_record(
            method=method, normal_class=name, seed=seed, auroc=0.5 + place / 10 + int(name) / 100 + seed / 1000, **facts
        )
        for place, (method, by_class) in enumerate(grid.items())
        for name, seeds in by_class.items()
        for seed in seeds
    ]


def compared(*records: Record) -> Selection:
    return shared(select(records, lambda record: True))


def places(records: Iterable[Record]) -> set[tuple[str, str, int]]:
    return {(record.job.label, record.job.normal_class, record.job.seed) for record in records}


def texts(selection: Selection, row: str) -> list[str]:
    table = class_table(selection, "auroc")
    return [table.cells[row][column].text(3) for column in table.columns]


THREE = {"0": [0], "1": [0], "2": [0]}


def test_where_every_method_has_everything_nothing_changes() -> None:
    whole = select(made({"a": THREE, "b": THREE}), lambda record: True)
    found = shared(whole)
    assert (found.records, found.notes, found.apart, found.partial) == (whole.records, whole.notes, (), False)
    assert found.means == whole.means == Means(["0", "1", "2"], [0])


def test_a_second_seed_of_one_class_of_one_method_leaves_the_table_as_it_was() -> None:
    before = class_table(compared(*made({"a": THREE, "b": THREE})), "auroc")
    found = compared(*made({"a": {**THREE, "2": [0, 1]}, "b": THREE}))
    after = class_table(found, "auroc")
    assert after.cells == before.cells
    assert [after.place("2", column) for column in "ab"] == [2, 1], "and the best is typeset as before"
    assert places(found.apart) == {("a", "2", 1)}
    assert (
        after.notes[0]
        == "left out: 1 record of seeds that not every method has of the class; b lacks seed 1 of class 2"
    )
    assert after.notes[1].startswith("--methods, --classes and --seeds")


def test_a_second_seed_of_one_class_of_every_method_is_shown_there_and_the_mean_keeps_to_the_first() -> None:
    more = {**THREE, "2": [0, 1]}
    found = compared(*made({"a": more, "b": more}))
    assert texts(found, "2") == ["0.520 ± 0.001", "0.621 ± 0.001"]
    assert texts(found, "1") == ["0.510", "0.610"]
    assert texts(found, MEAN) == ["0.510", "0.610"]
    assert "means are of seed 0, which every class has" in found.notes
    assert not found.partial, "it is over every class"


def test_more_classes_of_one_method_have_rows_and_no_part_in_the_mean() -> None:
    found = compared(*made({"a": {**THREE, "3": [0], "4": [0]}, "b": THREE, "c": THREE}))
    assert texts(found, "4") == ["0.540", "–", "–"]
    assert texts(found, MEAN) == ["0.510", "0.610", "0.710"]
    assert found.notes[0] == "means are over classes 0, 1 and 2, which every method has; b and c lack classes 3 and 4"
    assert found.partial


def test_a_mean_of_some_classes_is_not_held_against_a_published_mean() -> None:
    method, figures = next((m, f) for m, f in of_table("2").items() if ("mnist", MEAN) in f and m == "Ours")
    assert figures["mnist", MEAN].comparable
    for grid, held in (({"a": THREE, "b": THREE}, True), ({"a": THREE, "b": {"0": [0]}}, False)):
        table = class_table(compared(*made(grid)), "auroc")
        beside = with_published(table, "2", {"a": method}, ["mnist"], "own")
        assert (beside.cells[MEAN]["Δ a"].mean is not None) == held
        assert beside.cells["0"]["Δ a"].mean is not None
        over = suite_table({"mnist": compared(*made(grid))}, "auroc")
        assert ("mnist" in over.partial) != held


def test_every_cell_of_a_row_has_the_same_seeds_and_every_mean_the_same_classes() -> None:
    found = compared(*made({"a": {"0": [0, 1, 2], "1": [0, 2], "3": [1]}, "b": {"0": [1, 2], "1": [2, 3], "2": [2]}}))
    assert places(found.records) == {
        *(("a", "0", 1), ("a", "0", 2), ("b", "0", 1), ("b", "0", 2)),
        *(("a", "1", 2), ("b", "1", 2)),
        *(("a", "3", 1), ("b", "2", 2)),
    }
    assert found.means == Means(["0", "1"], [2])
    assert texts(found, MEAN) == ["0.507", "0.607"]


def test_where_no_class_is_shared_there_is_no_mean_and_it_is_said() -> None:
    found = compared(*made({"a": {"0": [0], "1": [0]}, "b": {"2": [0]}}))
    assert texts(found, MEAN) == ["–", "–"]
    assert found.notes[0] == (
        "no means: there is no class that every method has; a lacks class 2; b lacks classes 0 and 1"
    )
    assert suite_table({"one": found}, "auroc").cells["a"]["one"].text(3) == "–"


def test_a_table_of_suites_says_which_methods_have_no_record_in_one() -> None:
    both, one = compared(*made({"a": THREE, "b": THREE})), compared(*made({"a": THREE}, dataset="digits"))
    table = suite_table({"first": both, "second": one}, "auroc")
    assert table.notes[-1] == "second: no records of b"
    assert len([note for note in table.notes if "no records" in note]) == 1


def test_where_a_class_shares_no_seed_its_row_is_empty_and_it_is_said() -> None:
    found = compared(*made({"a": {"0": [0], "1": [0]}, "b": {"0": [1], "1": [0]}}))
    assert texts(found, "0") == ["–", "–"]
    assert texts(found, MEAN) == texts(found, "1") == ["0.510", "0.610"]
    assert found.notes[0].endswith("a lacks seed 1 of class 0; b lacks seed 0 of class 0")
    assert found.notes[1] == "means are over class 1, which every method has; of the others they share no seed"


def test_where_no_seed_has_every_class_there_is_no_mean() -> None:
    grid = {"0": [0], "1": [1]}
    found = compared(*made({"a": grid, "b": grid}))
    assert texts(found, "1") == ["0.511", "0.611"]
    assert texts(found, MEAN) == ["–", "–"]
    assert found.notes[0] == "no means: there is no seed of which every class is there"


def test_a_failed_record_is_there_and_shown_as_failed() -> None:
    failed = make_record(method="b", normal_class="2", status="failed")
    found = compared(*made({"a": THREE, "b": {"0": [0], "1": [0]}}), failed)
    assert texts(found, "2") == ["0.520", "failed"]
    assert texts(found, MEAN) == ["0.510", "–"]
    assert not found.notes


def test_a_method_of_which_nothing_ended_well_takes_nothing_from_the_others() -> None:
    failed = make_record(method="b", normal_class="2", status="failed")
    found = compared(*made({"a": THREE, "c": {name: [0, 1] for name in THREE}}), failed)
    assert texts(found, "2") == ["0.520", "failed", "0.620"]
    assert texts(found, MEAN) == ["0.510", "–", "0.610"]
    alone = compared(failed)
    assert texts(alone, "2") == ["failed"]


def test_many_classes_and_methods_are_counted_and_not_listed() -> None:
    many = {str(number): [0] for number in range(30)}
    grid = {"a": {name: [0, 1] for name in many}, **{f"m{number}": many for number in range(20)}}
    (told, _) = compared(*made(grid)).notes
    assert (
        told
        == "left out: 30 records of seeds that not every method has of the class; 20 methods lack seed 1 of 30 classes"
    )


@pytest.mark.parametrize("metric", ["average_precision", "fpr_at_95_tpr"])
def test_what_is_shared_is_the_same_for_every_metric(metric: str) -> None:
    found = compared(*made({"a": {**THREE, "3": [0]}, "b": THREE}))
    table = class_table(found, metric)
    assert table.cells["3"]["b"].mean is None
    assert table.cells[MEAN]["a"].mean == pytest.approx(sum(table.cells[name]["a"].mean or 0 for name in THREE) / 3)
