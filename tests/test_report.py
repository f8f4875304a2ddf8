"""Reports: which records stand together, what their cells say, and how tables are written."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from projects import Project
from records import make_record

from bench.errors import BenchError
from bench.fingerprint import source_fingerprint
from bench.record import Record
from bench.report.narrowing import Wanted
from bench.report.request import read_records, tables
from bench.report.selection import Selection, Setting, select, setting_of
from bench.report.tables.formats import rendered
from bench.report.tables.table import MEAN, Cell, Table, class_table, ordered, suite_table
from bench.store import Store
from bench.workspace import Workspace


def current(record: Record) -> bool:
    """Whether a hand-made record counts as made by today's code."""
    return record.job.fingerprint != "old"


def days(number: int) -> str:
    return f"2025-01-{number:02}T00:00:00+00:00"


def chosen(*records: Record, prefer: Callable[[Setting], int] = lambda setting: 0) -> Selection:
    return select(records, current, prefer)


def table_of(*records: Record, metric: str = "auroc", order: tuple[str, ...] = ()) -> Table:
    return class_table(chosen(*records), metric, order)


# ---------------------------------------------------------------------------------------------------------------------
# Selection


@pytest.mark.parametrize(
    "other",
    [
        {"dataset": "fashion_mnist"},
        {"dataset_checksum": "d" * 64},
        {"protocol": "holdout_80_20"},
        {"protocol_version": 2},
        {"profile": "cpu"},
        {"max_train": 1500},
        {"precision": "bf16"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_records_of_different_settings_are_never_mixed(other: dict[str, Any]) -> None:
    newest = make_record(ended=days(2), **other)
    selection = chosen(make_record(ended=days(1)), make_record(seed=1, ended=days(1)), newest)
    assert selection.records == [newest]
    assert selection.setting == setting_of(newest)
    assert len(selection.notes) == 1
    assert selection.notes[0].startswith("left out: 2 records of mnist, official_split (version 1), profile paper")


def test_the_preferred_setting_wins_over_the_newer() -> None:
    paper, cpu = make_record(ended=days(1)), make_record(profile="cpu", ended=days(2))
    assert chosen(paper, cpu, prefer=lambda setting: setting.profile == "paper").records == [paper]


def test_records_of_different_splits_are_refused_with_what_to_do() -> None:
    one, other = make_record(split="a"), make_record(method="shared_ae", split="b")
    with pytest.raises(BenchError, match=r"were made on different splits .*--rerun all") as caught:
        chosen(one, other)
    assert one.job.key[:12] in str(caught.value)
    assert other.job.key[:12] in str(caught.value)


@pytest.mark.parametrize("elsewhere", [{"normal_class": "4"}, {"seed": 1}])
def test_other_classes_and_seeds_have_splits_of_their_own(elsewhere: dict[str, Any]) -> None:
    assert len(chosen(make_record(split="a"), make_record(split="b", **elsewhere)).records) == 2


def test_a_failed_record_has_no_split_that_could_differ() -> None:
    assert len(chosen(make_record(), make_record(method="shared_ae", status="failed")).records) == 2


def test_of_two_records_of_today_the_newest_wins() -> None:
    old, new = make_record(ended=days(1)), make_record(ended=days(2), method_version="2")
    for records in ((old, new), (new, old)):
        assert chosen(*records).records == [new]


def test_a_record_of_todays_code_wins_over_a_newer_stale_one() -> None:
    today, stale = make_record(ended=days(1)), make_record(ended=days(2), fingerprint="old")
    for records in ((today, stale), (stale, today)):
        selection = chosen(*records)
        assert selection.records == [today]
        assert not selection.notes


def test_stale_records_are_shown_and_counted() -> None:
    selection = chosen(make_record(fingerprint="old"), make_record(seed=1))
    assert len(selection.records) == 2
    assert selection.notes == ("1 of 2 records are stale: today's code would make others (bench run does)",)


def test_records_of_settings_that_bench_toml_had_before_are_left_out_and_counted() -> None:
    before = [make_record(seed=seed, spec="ocsvm(nu=0.2)", ended=days(1)) for seed in range(3)]
    now = make_record(spec="ocsvm(nu=0.3)", ended=days(2))
    selection = chosen(*before, now)
    assert selection.records == [now]
    assert selection.notes == ("left out: 3 records of ocsvm with other settings than today's",)


def test_no_records_are_an_error() -> None:
    with pytest.raises(BenchError, match="no records to show"):
        chosen()


def test_a_setting_is_described_with_what_is_unusual_about_it() -> None:
    plain = setting_of(make_record())
    assert plain.describe() == "mnist, official_split (version 1), profile paper"
    unusual = setting_of(make_record(max_train=1500, precision="bf16", profile="cpu"))
    assert unusual.describe() == ("mnist, official_split (version 1), profile cpu, at most 1500 training images, bf16")


# ---------------------------------------------------------------------------------------------------------------------
# Cells


def test_a_cell_is_the_mean_over_seeds_and_their_sample_deviation() -> None:
    values = [0.81, 0.9, 0.96]
    cell = table_of(*(make_record(auroc=value, seed=seed) for seed, value in enumerate(values))).cells["3"]["ocsvm"]
    assert cell.values == tuple(values)
    assert cell.mean == pytest.approx(0.89)
    assert cell.deviation == pytest.approx(statistics.stdev(values))
    assert cell.text(3) == "0.890 ± 0.075"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell((0.5,), 1), "0.50"),
        (Cell((0.5, 0.7), 2), "0.60 ± 0.14"),
        (Cell((0.5, 0.7), 3), "0.60 ± 0.14 (2/3)"),
        (Cell((0.5,), 3, 2), "0.50 (1/3)"),
        (Cell((), 3, 3), "failed"),
        (Cell((), 3), "–"),
        (Cell(), "–"),
    ],
)
def test_a_cell_says_how_many_of_its_seeds_are_there(cell: Cell, text: str) -> None:
    assert cell.text(2) == text


def test_a_missing_seed_is_counted_against_the_seeds_of_the_other_methods() -> None:
    records = [make_record(seed=seed) for seed in range(3)] + [make_record(method="mean", seed=seed) for seed in (0, 2)]
    cells = table_of(*records).cells["3"]
    assert (cells["ocsvm"].text(1), cells["mean"].text(1)) == ("0.9 ± 0.0", "0.9 ± 0.0 (2/3)")


def test_a_failed_seed_is_missing_from_the_mean_and_never_a_number() -> None:
    records = [make_record(auroc=0.8), make_record(seed=1, status="diverged"), make_record(method="x", status="oom")]
    cells = table_of(*records).cells["3"]
    assert (cells["ocsvm"].text(1), cells["x"].text(1)) == ("0.8 (1/2)", "failed")


@pytest.mark.parametrize(("metric", "value"), [("auroc", 0.8), ("average_precision", 0.4), ("fpr_at_95_tpr", 0.2)])
def test_the_cells_hold_the_figure_that_is_asked_for(metric: str, value: float) -> None:
    assert table_of(make_record(auroc=0.8), metric=metric).cells["3"]["ocsvm"].mean == pytest.approx(value)


# ---------------------------------------------------------------------------------------------------------------------
# Means over classes


def test_the_last_row_is_the_mean_over_classes_of_each_seed() -> None:
    figures = {("1", 0): 0.5, ("1", 1): 0.7, ("2", 0): 0.9, ("2", 1): 0.9}
    table = table_of(*(make_record(auroc=a, normal_class=c, seed=s) for (c, s), a in figures.items()))
    assert table.rows == ["1", "2", MEAN]
    assert table.cells[MEAN]["ocsvm"].values == pytest.approx((0.7, 0.8))


def test_a_seed_with_a_missing_class_has_no_mean() -> None:
    records = [make_record(normal_class=c, seed=s) for c, s in (("1", 0), ("2", 0), ("1", 1))]
    assert table_of(*records).cells[MEAN]["ocsvm"].text(1) == "0.9 (1/2)"


def test_a_method_that_lacks_a_class_has_no_mean() -> None:
    other = make_record(method="other", normal_class="1")
    gone = make_record(method="gone", normal_class="1", status="failed")
    table = table_of(make_record(normal_class="1"), make_record(normal_class="2"), other, gone)
    assert [table.cells[MEAN][label].text(1) for label in ("ocsvm", "other", "gone")] == ["0.9", "–", "–"]
    assert table.cells["2"]["other"].text(1) == "–"


def test_one_class_alone_has_no_mean_row() -> None:
    assert table_of(make_record(), make_record(method="other")).rows == ["3"]


def test_a_table_of_suites_has_each_suites_mean_over_classes() -> None:
    records = [make_record(auroc=a, normal_class=c) for a, c in ((0.5, "1"), (0.7, "2"))]
    elsewhere = [make_record(dataset="digits", normal_class="5", method=m) for m in ("ocsvm", "mean")]
    table = suite_table({"one": chosen(*records), "two": chosen(*elsewhere)}, "auroc")
    assert (table.rows, table.columns) == (["mean", "ocsvm"], ["one", "two"])
    assert table.cells["ocsvm"]["one"].mean == pytest.approx(0.6)
    assert table.cells["mean"]["one"].text(1) == "–"
    assert table.notes == [
        *(f"{name}: {setting_of(r[0]).describe()}" for name, r in (("one", records), ("two", elsewhere))),
        "one: no records of mean",
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Order


def test_classes_stand_in_the_datasets_order_where_the_records_tell_it() -> None:
    numbers = {"zebra": 0, "ape": 1, "cat": 2}
    records = [make_record(normal_class=name, normal_label=numbers[name]) for name in ("ape", "cat", "zebra")]
    late = make_record(normal_class="bee", status="failed")
    assert table_of(*records, late).rows == ["zebra", "ape", "cat", "bee", MEAN]


def test_classes_stand_in_natural_order_where_the_records_tell_none() -> None:
    names = ["obj10", "obj9", "obj1", "10", "9", "b", "a2c10", "a2c9"]
    records = [make_record(normal_class=name) for name in names]
    assert table_of(*records).rows[:-1] == ["9", "10", "a2c9", "a2c10", "b", "obj1", "obj9", "obj10"]


def test_methods_stand_in_the_asked_order_with_variants_after_them_and_others_last() -> None:
    labels = ["b(x=1)", "z", "a", "b", "c(y=2)", "c", "b(x=0)"]
    assert ordered(labels, ["c", "b", "z"]) == ["c", "c(y=2)", "b", "b(x=0)", "b(x=1)", "z", "a"]
    assert ordered(labels, ["b(x=1)", "b"]) == ["b(x=1)", "b", "b(x=0)", "a", "c", "z", "c(y=2)"]


# ---------------------------------------------------------------------------------------------------------------------
# Formats


@pytest.fixture
def small() -> Table:
    cells = {
        "cup_a": {"m(x='50%')": Cell((0.5, 0.7), 3), "other": Cell((1 / 3,), 1)},
        "2": {"m(x='50%')": Cell((), 3, 3), "other": Cell()},
    }
    return Table("A & B", "class", list(cells), ["m(x='50%')", "other"], cells, ["first note", "second note"])


def test_a_table_as_text(small: Table) -> None:
    assert rendered(small, "text", 2) == (
        "A & B\n"
        "\n"
        "class           m(x='50%')    other\n"
        "-------  -----------------  -------\n"
        "cup_a    0.60 ± 0.14 (2/3)     0.33\n"
        "2                   failed        –\n"
        "\n"
        "first note\n"
        "second note\n"
    )


def test_a_table_as_markdown(small: Table) -> None:
    assert rendered(small, "markdown", 2) == (
        "**A & B**\n"
        "\n"
        "| class   |        m(x='50%') |   other |\n"
        "|:--------|------------------:|--------:|\n"
        "| cup_a   | 0.60 ± 0.14 (2/3) |    0.33 |\n"
        "| 2       |            failed |       – |\n"
        "\n"
        "first note\n"
        "second note\n"
    )


def test_a_table_as_latex(small: Table) -> None:
    text = rendered(small, "latex", 2)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert r"\caption{A \& B}" in lines
    assert r"\label{tab:a-b}" in lines
    assert lines.index(r"first note.\par") + 1 == lines.index(r"second note.\par")
    begin = lines.index(r"\begin{tabular}{@{}lrr@{}}")
    assert lines[begin:][:8] == [
        r"\begin{tabular}{@{}lrr@{}}",
        r"\toprule",
        r"class & m (x 50\%) & other \\",
        r"\midrule",
        r"cup\_a & 0.60 $\pm$ 0.14 (2/3) & 0.33 \\",
        r"2 & failed & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("_", r"\_"),
        ("%", r"\%"),
        ("&", r"\&"),
        ("#", r"\#"),
        ("$", r"\$"),
        ("{}", r"\{\}"),
        ("~", r"\textasciitilde{}"),
        ("^", r"\textasciicircum{}"),
        ("\\", r"\textbackslash{}"),
        (r"a\_b", r"a\textbackslash{}\_b"),
    ],
)
def test_what_latex_reads_as_markup_is_escaped(name: str, escaped: str) -> None:
    table = Table("", "class", [name], ["m"], {name: {"m": Cell((0.5,), 1)}})
    cells = [line.partition("&")[0].strip() for line in rendered(table, "latex").replace(r"\&", "\0").splitlines()]
    assert escaped.replace(r"\&", "\0") in cells


def test_a_table_as_csv(small: Table) -> None:
    text = rendered(small, "csv")
    assert text == (
        "class,column,kind,mean,standard deviation,seeds,wanted seeds,failed,used\n"
        f"cup_a,m(x='50%'),measured,0.6,{statistics.stdev((0.5, 0.7))},2,3,0,\n"
        f"cup_a,other,measured,{1 / 3},,1,1,0,\n"
        "2,m(x='50%'),measured,,,0,3,3,\n"
        "2,other,measured,,,0,0,0,\n"
    )


def test_a_name_with_commas_and_quotes_is_one_field_of_the_csv() -> None:
    name = "m(a='x,\"y\"',b=2)"
    table = Table("", "class", ["3"], [name], {"3": {name: Cell((0.5,), 1)}})
    assert [row[1] for row in csv.reader(io.StringIO(rendered(table, "csv")))] == ["column", name]


def test_a_table_as_json(small: Table) -> None:
    facts = json.loads(rendered(small, "json"))
    assert (facts["title"], facts["notes"], len(facts["cells"])) == ("A & B", ["first note", "second note"], 4)
    assert facts["cells"][0] == {
        "class": "cup_a",
        "column": "m(x='50%')",
        "kind": "measured",
        "mean": 0.6,
        "standard_deviation": statistics.stdev((0.5, 0.7)),
        "values": [0.5, 0.7],
        "wanted_seeds": 3,
        "failed": 0,
        "used": [],
    }
    assert facts["cells"][3]["mean"] is None


def test_figures_in_csv_and_json_are_not_rounded(small: Table) -> None:
    assert str(1 / 3) in rendered(small, "csv", 1)
    assert json.loads(rendered(small, "json", 1))["cells"][1]["mean"] == 1 / 3


def test_an_unknown_format_is_answered_with_the_nearest(small: Table) -> None:
    with pytest.raises(BenchError, match=r"no format called 'latx'; did you mean latex\?"):
        rendered(small, "latx")


# ---------------------------------------------------------------------------------------------------------------------
# Oracles and the ledger


def traced(auroc: float, *epochs: float, candidates: tuple[float, ...] = (), **job: Any) -> Record:
    return dataclasses.replace(
        make_record(auroc=auroc, **job),
        traced=True,
        epochs=[{"epoch": n, "losses": {}, "auroc": each} for n, each in enumerate(epochs, start=1)],
        oracle_candidates=[{"parameters": {"gamma": n}, "auroc": each} for n, each in enumerate(candidates)],
    )


def shown(*records: Record, choice: Any) -> dict[str, float | None]:
    table = class_table(chosen(*records), "auroc", choice=choice)
    return {column: table.cells["3"][column].mean for column in table.columns}


def test_the_oracle_is_the_best_epoch_or_candidate_and_never_below_the_last() -> None:
    assert traced(0.6, 0.5, 0.9, 0.6).oracle == 0.9
    assert traced(0.6, candidates=(0.3, 0.8)).oracle == 0.8
    assert traced(0.6, 0.5, candidates=(0.3,)).oracle == 0.6
    assert make_record(auroc=0.6).oracle is None
    assert dataclasses.replace(make_record(status="failed"), traced=True).oracle is None


def test_an_oracle_stands_in_columns_of_its_own_beside_the_last_epoch() -> None:
    record = traced(0.6, 0.75, 0.6)
    assert shown(record, choice="last") == {"ocsvm": 0.6}
    assert shown(record, choice="oracle") == {"ocsvm (oracle)": 0.75}
    both = shown(record, choice="both")
    assert both == {"ocsvm": 0.6, "ocsvm (oracle)": 0.75, "ocsvm (oracle − last)": pytest.approx(0.15)}


def test_a_table_with_an_oracle_says_that_labels_chose_and_which_records_have_no_trace() -> None:
    records = traced(0.6, 0.7), make_record(method="pca", auroc=0.5)
    table = class_table(chosen(*records), "auroc", choice="both")
    assert table.columns == ["ocsvm", "ocsvm (oracle)", "ocsvm (oracle − last)", "pca"]
    assert any("only the test labels can choose" in note for note in table.notes)
    assert any(note.startswith("1 records have no trace") for note in table.notes)
    assert not [note for note in table_of(*records).notes if "oracle" in note]


@pytest.mark.parametrize("choice", ["oracle", "both"])
def test_an_oracle_of_what_is_not_traced_is_refused(choice: Any) -> None:
    with pytest.raises(BenchError, match="only the AUROC is traced"):
        class_table(chosen(traced(0.6, 0.7)), "average_precision", choice=choice)


@pytest.mark.parametrize("choice", ["oracle", "both", "every"])
def test_where_nothing_is_traced_it_is_said_how_to_get_a_trace(choice: Any) -> None:
    with pytest.raises(BenchError, match=r"nothing here is traced; bench run … --trace"):
        class_table(chosen(make_record()), "auroc", choice=choice)


def test_the_mean_over_classes_is_the_mean_of_the_oracles_choices() -> None:
    table = class_table(
        chosen(traced(0.6, 0.8, normal_class="3"), traced(0.5, 0.5, normal_class="4")), "auroc", choice="oracle"
    )
    assert table.cells[MEAN]["ocsvm (oracle)"].mean == pytest.approx(0.65)


def test_what_used_more_than_normal_images_is_marked_with_what_it_used() -> None:
    ledger = {"used": ["batch statistics"], "published": ["test labels", "luck"]}
    record = dataclasses.replace(make_record(method="gan"), ledger=ledger)
    table = table_of(record, make_record(method="pca"))
    assert list(table.notes) == ["† gan used batch statistics", "published figures of gan used test labels; luck"]
    header = rendered(table, "text").splitlines()[2].split()
    assert header == ["class", "gan", "†", "pca"]
    for row in json.loads(rendered(table, "json"))["cells"]:
        assert row["used"] == (["batch statistics"] if row["column"] == "gan" else [])
    assert "3,gan,measured,0.9,,1,1,0,batch statistics" in rendered(table, "csv")


def test_a_transposed_table_has_its_rows_as_columns_and_the_same_cells() -> None:
    record = dataclasses.replace(make_record(method="gan"), ledger={"used": ["batch statistics"]})
    table = table_of(record, make_record(method="pca", normal_class="4"))
    turned = table.transposed()
    assert (turned.corner, list(turned.rows), list(turned.columns)) == ("method", ["gan", "pca"], ["3", "4", MEAN])
    assert all(
        turned.cells[row][column] == table.cells[column][row] for row in turned.rows for column in turned.columns
    )
    assert "gan †" in rendered(turned, "markdown")
    assert turned.transposed() == table


def test_a_table_of_suites_marks_the_method_too() -> None:
    record = dataclasses.replace(make_record(method="gan"), ledger={"used": ["batch statistics"]})
    table = suite_table({"one": chosen(record)}, "auroc", choice="last")
    assert table.marked("gan") == "gan †"
    assert "† gan used batch statistics" in table.notes


# ---------------------------------------------------------------------------------------------------------------------
# What is asked for


@pytest.fixture
def workspace(project: Project) -> Workspace:
    project.write(
        "bench.toml",
        """
        [suites.narrow]
        dataset = "mnist"
        protocol = "official_split"
        methods = ["ocsvm(nu=0.5)"]
        profile = "cpu"
        """,
    )
    return project.workspace()


def printed(names: list[str], records: list[Record], workspace: Workspace, profile: str | None = None) -> str:
    return "\n".join(
        rendered(table, "text") for table in tables(names, records, workspace, "auroc", Wanted(profile=profile))
    )


def fresh(workspace: Workspace, **facts: Any) -> Record:
    """A record that today's code would make."""
    plugin = workspace.methods.find(facts.get("method", "ocsvm"))
    return make_record(fingerprint=source_fingerprint(plugin), **facts)


def test_a_suite_is_a_table_of_its_records_alone(workspace: Workspace) -> None:
    records = [
        fresh(workspace, auroc=0.111),
        fresh(workspace, auroc=0.222, protocol="holdout_80_20"),
        fresh(workspace, auroc=0.333, dataset="cifar10"),
    ]
    assert printed(["mnist"], records, workspace) == (
        "mnist, official_split (version 1), profile paper\n\nclass      ocsvm\n-------  -------\n3          0.111\n"
    )


def test_a_table_of_the_paper_has_its_number_and_title(workspace: Workspace) -> None:
    text = printed(["2"], [fresh(workspace)], workspace)
    assert text.startswith("Table 2. AUROC on MNIST by normal class, official split (mnist, official_split (version 1)")


def test_a_table_of_suites_has_a_column_for_each_suite_with_records(workspace: Workspace) -> None:
    holdout = {"protocol": "holdout_80_20"}
    records = [fresh(workspace, **holdout), fresh(workspace, dataset="fashion_mnist", **holdout)]
    (table,) = tables(["1"], records, workspace, "auroc")
    assert (table.rows, table.columns) == (["ocsvm"], ["mnist_holdout", "fashion_mnist"])


def test_only_a_table_of_the_paper_is_numbered(workspace: Workspace) -> None:
    text = printed(["skip-ganomaly"], [fresh(workspace, method="skip_ganomaly")], workspace)
    assert text.startswith("Skip-GANomaly's benchmark page: mean AUROC")


def test_a_table_with_methods_of_its_own_shows_those_alone(workspace: Workspace) -> None:
    (table,) = tables(
        ["skip-ganomaly"], [fresh(workspace), fresh(workspace, method="skip_ganomaly")], workspace, "auroc"
    )
    assert table.rows == ["skip_ganomaly", "Skip-GANomaly, published"]
    with pytest.raises(BenchError, match="no records for skip-ganomaly"):
        tables(["skip-ganomaly"], [fresh(workspace)], workspace, "auroc")


def test_methods_stand_in_the_order_of_the_suite(workspace: Workspace) -> None:
    (table,) = tables(["mnist"], [fresh(workspace), fresh(workspace, method="shared_ae")], workspace, "auroc")
    assert table.columns == ["shared_ae", "ocsvm"]


def test_a_suite_with_methods_of_its_own_shows_those_alone(workspace: Workspace) -> None:
    records = [fresh(workspace), fresh(workspace, label="ocsvm(nu=0.5)", spec="ocsvm(nu=0.5)")]
    (table,) = tables(["narrow"], records, workspace, "auroc")
    assert table.columns == ["ocsvm(nu=0.5)"]


def test_the_profile_is_the_asked_else_the_suites_else_the_usual(workspace: Workspace) -> None:
    facts = {"label": "ocsvm(nu=0.5)", "spec": "ocsvm(nu=0.5)"}
    records = [fresh(workspace, profile="paper", **facts), fresh(workspace, profile="cpu", max_train=1500, **facts)]
    for names, profile, shown in (
        (["narrow"], None, "cpu"),
        (["narrow"], "paper", "paper"),
        (["mnist"], None, "paper"),
    ):
        assert f"profile {shown}" in printed(names, records, workspace, profile).splitlines()[0]


def test_records_of_another_profile_are_shown_where_there_are_no_others(workspace: Workspace) -> None:
    assert "profile cpu" in printed(["mnist"], [fresh(workspace, profile="cpu")], workspace)
    with pytest.raises(BenchError, match="no records for mnist and profile paper"):
        printed(["mnist"], [fresh(workspace, profile="cpu")], workspace, "paper")


def test_records_of_code_that_has_changed_are_marked_stale(workspace: Workspace) -> None:
    assert "stale" not in printed(["mnist"], [fresh(workspace)], workspace)
    assert "1 of 1 records are stale" in printed(["mnist"], [make_record()], workspace)
    assert "1 of 1 records are stale" in printed(["mnist"], [make_record(method="long_gone")], workspace)


def test_all_is_every_table_with_records_and_says_which_have_none(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(["all"], [fresh(workspace)], workspace)
    assert "Table 2." in text
    assert "Table 3." not in text
    assert "table 3: no records for 3" in capsys.readouterr().err


def test_an_unknown_table_is_answered_with_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(BenchError, match=r"called 'mnst'; did you mean mnist"):
        printed(["mnst"], [], workspace)


def test_a_table_without_records_says_so(workspace: Workspace) -> None:
    with pytest.raises(BenchError, match=r"no records for mnist in .*results.*bench run"):
        printed(["mnist"], [], workspace)


def test_an_unreadable_record_is_a_warning_and_hides_no_other(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(workspace.results)
    record = make_record()
    store.put(record)
    broken = store.path(make_record(seed=1).job)
    broken.write_text("{")
    assert read_records(workspace) == [record]
    assert f"warning: record {broken} cannot be used" in capsys.readouterr().err


def test_the_reference_run_is_shown_where_there_are_no_runs_of_ones_own(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.workspace import open_workspace

    reference, own = make_record(auroc=0.1), make_record(auroc=0.2)
    Store(project.root / "results/reference").put(reference)
    workspace = open_workspace()
    assert read_records(workspace) == [reference]
    assert "showing the reference run" in capsys.readouterr().err
    Store(project.root / "results/runs").put(own)
    assert read_records(workspace) == [own]
    assert not capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------------
# Classes that are not there


def test_a_table_says_how_many_of_the_expected_classes_it_has() -> None:
    records = [make_record(normal_class=name, normal_label=int(name)) for name in "01"]
    assert not chosen(*records).with_expected(2).notes
    assert chosen(*records).with_expected(10).notes == ("only 2 of 10 classes have records; means are over these",)


def test_the_expected_classes_are_those_that_can_be_normal_where_no_suite_says_otherwise() -> None:
    record = make_record(normal_class="0")
    record.split["normal_classes"] = 10
    assert "only 1 of 10 classes" in chosen(record).with_expected(None).notes[0]


def test_a_suite_with_classes_of_its_own_shows_no_others(project: Project) -> None:
    project.write("bench.toml", '[suites.two]\ndataset = "digits"\nclasses = ["0", 1]\nprofile = "paper"\n')
    workspace = project.workspace()
    records = [
        make_record(dataset="digits", protocol="holdout_80_20", normal_class=name, normal_label=int(name))
        for name in "012"
    ]
    (table,) = tables(["two"], records, workspace, "auroc")
    assert list(table.rows) == ["0", "1", MEAN]
