"""What of the records is shown: ``--methods``, ``--classes`` and ``--seeds``, and keys of a table that say the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from projects import Project
from records import make_record
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BenchError
from bench.record import Record
from bench.report.claims import claims
from bench.report.narrowing import EVERYTHING, Wanted
from bench.report.request import tables
from bench.report.tables.table import MEAN, Table
from bench.store import Store
from bench.workspace import Workspace

TOML = """
    [groups]
    pair = ["pca", "knn"]

    [tables.held_out]
    title = "Held out"
    suites = ["fashion_mnist"]
    methods = ["pair"]
    classes = ["Trouser", 2]
    seeds = [1]
    profile = "cpu"

    [tables.but_pca]
    suites = ["fashion_mnist"]
    without = ["pca"]
    seeds = 1
    """

CLASSES = {"T-shirt": 0, "Trouser": 1, "Pullover": 2}


def grid(methods: Sequence[str] = ("ocsvm", "pca", "knn"), **facts: object) -> list[Record]:
    """Three classes and two seeds of some methods."""
    job = {"dataset": "fashion_mnist", "protocol": "holdout_80_20", **facts}
    return [
        make_record(method=method, normal_class=name, normal_label=number, seed=seed, **job)  # type: ignore[arg-type]
        for method in methods
        for name, number in CLASSES.items()
        for seed in (0, 1)
    ]


@pytest.fixture
def workspace(project: Project) -> Workspace:
    project.write("bench.toml", TOML)
    return project.workspace()


def shown(name: str, workspace: Workspace, wanted: Wanted = EVERYTHING, records: Sequence[Record] = ()) -> Table:
    (table,) = tables([name], records or grid(), workspace, "auroc", wanted)
    return table


def seeds(table: Table) -> int:
    return len(table.cells[table.rows[0]][table.columns[0]].values)


def test_methods_are_those_that_are_named_in_that_order(workspace: Workspace) -> None:
    assert shown("fashion_mnist", workspace).columns == ["ocsvm", "knn", "pca"]
    assert shown("fashion_mnist", workspace, Wanted(methods="pca,ocsvm")).columns == ["pca", "ocsvm"]
    assert shown("fashion_mnist", workspace, Wanted(methods="pair")).columns == ["pca", "knn"]


def test_of_a_group_those_are_shown_that_have_records(workspace: Workspace) -> None:
    assert shown("fashion_mnist", workspace, Wanted(methods="all,knn")).columns == ["ocsvm", "knn"]


def test_classes_are_named_or_numbered(workspace: Workspace) -> None:
    table = shown("fashion_mnist", workspace, Wanted(classes="2, T-shirt"))
    assert table.rows == ["T-shirt", "Pullover", MEAN]


def test_the_name_of_a_class_goes_before_a_number(workspace: Workspace) -> None:
    records = [
        make_record(dataset="digits", protocol="holdout_80_20", normal_class=name, normal_label=number)
        for number, name in enumerate(["1", "0"])
    ]
    assert shown("digits", workspace, Wanted(classes="1"), records).rows == ["1"]


def test_a_failed_job_of_a_numbered_class_is_shown_though_its_record_knows_no_number(workspace: Workspace) -> None:
    failed = make_record(
        method="vae", normal_class="Trouser", status="failed", dataset="fashion_mnist", protocol="holdout_80_20"
    )
    table = shown("fashion_mnist", workspace, Wanted(classes="1"), [*grid(), failed])
    assert table.cells["Trouser"]["vae"].text(3) == "failed"


def test_seeds_are_counted_or_named(workspace: Workspace) -> None:
    assert seeds(shown("fashion_mnist", workspace)) == 2
    for text, count in (("1", 1), ("2", 2), ("0,1", 2), ("1,", 1), ("3", 2)):
        assert seeds(shown("fashion_mnist", workspace, Wanted(seeds=text))) == count


def test_a_mean_over_classes_that_were_asked_for_is_said_to_be_one(workspace: Workspace) -> None:
    records = grid()
    for record in records:
        record.split["normal_classes"] = 10
    table = shown("fashion_mnist", workspace, Wanted(classes="0,1"), records)
    assert "asked for: 2 of 10 classes; means are over these" in table.notes
    assert table.partial == [MEAN]


def test_a_table_says_what_it_shows_and_what_is_typed_goes_before_it(workspace: Workspace) -> None:
    records = [*grid(), *grid(profile="cpu")]
    table = shown("held_out", workspace, records=records)
    assert (table.columns, table.rows, seeds(table)) == (["pca", "knn"], ["Trouser", "Pullover", MEAN], 1)
    assert "profile cpu" in table.title
    typed = shown("held_out", workspace, Wanted("ocsvm", "0", "2", "paper"), records)
    assert (typed.columns, typed.rows, seeds(typed)) == (["ocsvm"], ["T-shirt"], 2)
    assert "profile paper" in typed.title


def test_what_a_table_leaves_out_is_shown_where_it_is_asked_for(workspace: Workspace) -> None:
    assert shown("but_pca", workspace).columns == ["ocsvm", "knn"]
    assert shown("but_pca", workspace, Wanted(methods="pca")).columns == ["pca"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(methods="ocsv"), r"no method with records called 'ocsv'; did you mean ocsvm\?"),
        (Wanted(methods="ganomaly"), "no method with records called 'ganomaly'; known: knn, ocsvm, pca"),
        (Wanted(methods="controls", seeds="5,"), "no records for fashion_mnist and methods controls and seeds 5, in"),
        (Wanted(classes="Trousers"), r"no class with records called 'Trousers'; did you mean Trouser\?"),
        (Wanted(seeds="one"), "cannot read seeds 'one'; write how many"),
        (Wanted(profile="cpu"), "no records for fashion_mnist and profile cpu in"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_answered_with_what_is(workspace: Workspace, wanted: Wanted, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        shown("fashion_mnist", workspace, wanted)


def test_a_method_that_is_left_out_takes_nothing_from_the_others(workspace: Workspace) -> None:
    records = [*grid(["ocsvm", "pca"]), *(r for r in grid(["knn"]) if r.job.normal_class == "Trouser")]
    both = shown("fashion_mnist", workspace, records=records)
    assert any(
        note.startswith("means are over class Trouser, which every method has; knn lacks") for note in both.notes
    )
    without = shown("fashion_mnist", workspace, Wanted(methods="ocsvm,pca"), records)
    assert not [note for note in without.notes if note.startswith("means")]
    assert not without.partial


def test_a_claim_is_held_against_all_that_its_method_has_whatever_others_have(workspace: Workspace) -> None:
    job = {"dataset": "mnist", "protocol": "official_split"}
    own = [make_record(method="shared_ae", normal_class=str(n), normal_label=n, **job) for n in range(10)]
    other = make_record(method="vae", normal_class="0", normal_label=0, **job)
    (mean,) = [
        claim
        for claim in claims([*own, other], workspace, ["2"])
        if (claim.label, claim.published.normal_class) == ("shared_ae", MEAN)
    ]
    assert mean.cell.mean == pytest.approx(0.9)
    assert not mean.reason


def test_every_command_takes_the_options(project: Project) -> None:
    store = Store(project.root / "results/runs")
    for record in grid():
        store.put(record)
    narrow = ["fashion_mnist", "--methods", "pca,knn", "--classes", "1,2", "--seeds", "0,"]
    table = CliRunner().invoke(app, ["table", *narrow]).stdout
    assert [line.split()[0] for line in table.splitlines()[4:7]] == ["Trouser", "Pullover", "mean"]
    refused = CliRunner().invoke(app, ["stats", *narrow]).exception
    assert "needs 6 complete blocks (dataset × protocol × class) or more, and there are 2" in str(refused)
    drawn = CliRunner().invoke(app, ["figures", *narrow]).stdout
    assert "fashion_mnist-heatmap.pdf" in drawn
    assert CliRunner().invoke(app, ["report", *narrow, "--figures", "none"]).exit_code == 0
    page = (project.root / "report.html").read_text()
    assert "Trouser" in page
    assert "T-shirt" not in page
    assert "ocsvm" not in page
