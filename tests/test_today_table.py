"""Tables of several metrics: the last epoch, the oracle and what was published stand side by side."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from projects import Project
from records import make_record

from bench.record import Record
from bench.report.request import tables
from bench.report.tables.published import of_table
from bench.report.tables.table import Table

PRINTED = {each: of_table("today")["DROCC"]["cifar10", each].auroc for each in ("deer", "truck", "mean")}


def drocc(normal_class: str, auroc: float, *epochs: float, **facts: Any) -> Record:
    """A record on CIFAR-10, traced where it has epochs."""
    made = make_record(dataset="cifar10", method="drocc", normal_class=normal_class, auroc=auroc, **facts)
    traced = [{"epoch": number, "auroc": each} for number, each in enumerate(epochs, start=1)]
    split = {**made.split, "normal_classes": 10}
    ledger = {"published": ["test labels: the best test epoch"]}
    cost = {"fit_seconds": 60.0, "score_seconds": 1.0}
    return dataclasses.replace(made, epochs=traced, traced=bool(epochs), split=split, cost=cost, ledger=ledger)


def shown(project: Project, *records: Record) -> list[Table]:
    return tables(["today"], list(records), project.workspace())


def test_last_epoch_oracle_published_and_seconds_stand_side_by_side(project: Project) -> None:
    whole, deer, truck = shown(project, drocc("deer", 0.6, 0.7, 0.6), drocc("truck", 0.8, 0.7, 0.8))
    assert whole.columns == ["auroc", "oracle", "published", "seconds"]
    assert [whole.cells["drocc"][each].mean for each in ("auroc", "oracle", "seconds")] == pytest.approx(
        [0.7, 0.75, 61]
    )
    assert deer.cells["drocc"]["oracle"].mean == 0.7
    assert truck.cells["drocc"]["oracle"].mean == 0.8
    assert whole.marked("oracle") == "oracle †"
    notes = "\n".join(whole.notes)
    assert "† oracle: the best test AUROC over epochs and candidates, which only the test labels can choose" in notes
    assert "published figures of drocc used test labels: the best test epoch" in notes


def test_what_was_published_is_of_the_same_classes(project: Project) -> None:
    whole, deer, truck = shown(project, drocc("deer", 0.6), drocc("truck", 0.8))
    cells = [each.cells["drocc"]["published"] for each in (deer, truck, whole)]
    assert [cell.kind for cell in cells] == ["published"] * 3
    wanted = [PRINTED["deer"], PRINTED["truck"], (PRINTED["deer"] + PRINTED["truck"]) / 2]
    assert [cell.mean for cell in cells] == pytest.approx(wanted)
    assert cells[2].text(3).endswith("‡")
    assert any("DROCC computed" in note and "ICML 2020, Table 1" in note for note in whole.notes)


def test_a_published_mean_stands_beside_a_mean_of_all_classes_alone(project: Project) -> None:
    classes = [each for _, each in of_table("today")["DROCC"] if each != "mean"]
    assert len(classes) == 10
    every = [drocc(each, 0.6) for each in classes]
    geom = [dataclasses.replace(each, job=dataclasses.replace(each.job, method="geom", label="geom")) for each in every]
    whole = shown(project, *every, *geom)[0]
    assert whole.cells["drocc"]["published"].mean == PRINTED["mean"]
    assert whole.cells["geom"]["published"].mean == of_table("today")["GEOM"]["cifar10", "mean"].auroc
    some = shown(project, *every[:4], *geom[:4])[0]
    assert some.cells["geom"]["published"].text(3) == "–"


def test_what_was_not_traced_has_no_oracle_and_other_tables_no_published_figures(project: Project) -> None:
    records = [drocc("deer", 0.6), drocc("truck", 0.8)]
    assert shown(project, *records)[0].cells["drocc"]["oracle"].text(3) == "–"
    whole = tables(["cifar10"], records, project.workspace(), metrics=["auroc", "published"])[0]
    assert whole.cells["drocc"]["published"].text(3) == "–"
