"""Published figures beside reproduced ones, and tables from a fixed small set of records, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from records import make_record
from typer.testing import CliRunner

from bench.cli import app
from bench.config import load_config
from bench.errors import BenchError
from bench.record import Record
from bench.report.selection import select
from bench.report.tables.beside import with_published
from bench.report.tables.formats import rendered
from bench.report.tables.published import of_table, published_values
from bench.report.tables.table import Cell, Table, class_table, suite_table

GOLDEN = Path(__file__).parent / "golden"
FORMATS = {
    "text": ".txt", "markdown": ".md", "latex": ".tex", "siunitx": "-siunitx.tex", "html": ".html", "csv": ".csv",
    "json": ".json",
}  # fmt: skip


def done(label: str, normal_class: str, seed: int, auroc: float, **job: Any) -> Record:
    method = label.partition("(")[0]
    return make_record(method=method, label=label, normal_class=normal_class, seed=seed, auroc=auroc, **job)


def small_set() -> list[Record]:
    """Two classes, two seeds: a tie, a missing seed, a failure, names with what LaTeX reads as markup."""
    records = [
        done(label, normal_class, seed, auroc)
        for label, by_class in {
            "shared_ae": {"0": (0.995, 0.985), "1": (0.999, 0.997)},
            "vae": {"0": (0.985, 0.995), "1": (0.5,)},
            "odd(name='50%_&#')": {"0": (0.25, 0.75), "1": (0.998, 0.996)},
        }.items()
        for normal_class, aurocs in by_class.items()
        for seed, auroc in enumerate(aurocs)
    ]
    failed = make_record(method="ocsvm", normal_class="0", status="failed")
    return [*records, failed]


@pytest.fixture(scope="module")
def table() -> Table:
    selection = select(small_set(), lambda record: True).with_expected(10)
    made = class_table(selection, "auroc", ["shared_ae", "vae", "ocsvm"], "Table 2")
    return with_published(made, "2", load_config().tables["2"].published, ["mnist"], "own")


@pytest.mark.parametrize("turned", [False, True], ids=["classes as rows", "transposed"])
@pytest.mark.parametrize("form", FORMATS)
def test_the_table_of_the_small_set_is_the_committed_one(table: Table, form: str, turned: bool) -> None:
    text = rendered(table.transposed() if turned else table, form)
    file = GOLDEN / f"table{'-transposed' if turned else ''}{FORMATS[form]}"
    if os.environ.get("BENCH_WRITE_GOLDEN") == "1":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_the_best_and_the_second_are_judged_on_unrounded_numbers_with_ties() -> None:
    cells = {"c": {name: Cell((value,), 1) for name, value in {"a": 0.9004, "b": 0.9001, "d": 0.9004}.items()}}
    table = Table("", "class", ["c"], ["a", "b", "d"], cells)
    assert [table.place("c", name) for name in "abd"] == [1, 2, 1]
    assert [table.transposed().place(name, "c") for name in "abd"] == [1, 2, 1]
    lower = Table("", "class", ["c"], ["a", "b", "d"], cells, lower_is_better=True)
    assert [lower.place("c", name) for name in "abd"] == [2, 1, 2]


def test_what_is_not_whole_or_not_measured_or_alone_is_not_ranked() -> None:
    cells = {
        "c": {"a": Cell((0.8,), 1), "b": Cell((0.9,), 2), "p": Cell((0.99,), kind="published"), "f": Cell((), 1, 1)}
    }
    table = Table("", "class", ["c"], list(cells["c"]), cells)
    assert [table.place("c", name) for name in cells["c"]] == [0, 0, 0, 0]


def test_the_difference_is_reproduced_minus_published(table: Table) -> None:
    printed = of_table("2")["Ours"]["mnist", "0"]
    assert table.cells["0"]["Ours, published"].values == (printed.auroc,)
    own = table.cells["0"]["shared_ae"].mean
    assert own is not None
    assert table.cells["0"]["Δ shared_ae"].values == (pytest.approx(own - printed.auroc),)
    assert any(note.startswith("published: Jia and Liu 2022") for note in table.notes)
    # two of ten classes: their mean is not the mean that was published
    assert table.cells["mean"]["Ours, published"].values
    assert table.cells["mean"]["Δ shared_ae"].values == ()


def test_a_figure_that_was_not_in_the_papers_text_is_marked(table: Table) -> None:
    (inferred,) = [figure for figure in published_values() if figure.kind == "inferred"]
    assert (inferred.suite, inferred.normal_class, inferred.method) == ("mnist", "mean", "Ours")
    assert table.cells["mean"]["Ours, published"].text(3).endswith("‡")
    assert any(note.startswith("‡ Ours inferred") for note in table.notes)


def test_over_suites_published_means_are_rows_and_all_brings_the_others() -> None:
    selection = select(small_set(), lambda record: True)
    made = suite_table({"mnist_holdout": selection, "fashion_mnist": selection}, "auroc", ["shared_ae"])
    own = with_published(made, "1", {"shared_ae": "Ours"}, ["mnist_holdout", "fashion_mnist"], "own")
    assert own.rows[-2:] == ["Ours, published", "Δ shared_ae"]
    assert [own.cells["Ours, published"][name].text(3) for name in own.columns] == ["0.992", "0.997"]
    everybody = with_published(made, "1", {"shared_ae": "Ours"}, ["mnist_holdout", "fashion_mnist"], "all")
    assert {"GPND, published", "OCGAN, published", "PIAD, published"} <= set(everybody.rows)
    assert with_published(made, "1", {}, ["mnist_holdout"], "none") is made


def test_columns_of_unknown_classes_are_in_no_table() -> None:
    selection = select([done("shared_ae", "cup", 0, 0.9, dataset="cifar100")], lambda record: True)
    made = class_table(selection, "auroc")
    assert with_published(made, "4", {"shared_ae": "Ours"}, ["cifar100"], "own").columns == ["shared_ae"]


def test_context_stands_beside_the_figures_marked_and_without_a_difference() -> None:
    selection = select([done("skip_ganomaly", "0", 0, 0.9)], lambda record: True)
    made = suite_table(dict.fromkeys(("mnist", "fashion_mnist", "cifar10"), selection), "auroc")
    table = with_published(
        made, "skip-ganomaly", load_config().tables["skip-ganomaly"].published, list(made.columns), "own"
    )
    assert table.rows == ["skip_ganomaly", "Skip-GANomaly, published"]
    published = table.cells["Skip-GANomaly, published"]
    assert [published[name].text(3) for name in table.columns] == ["0.941‡", "–", "0.695‡"]
    context, elsewhere = table.notes[-2:]
    assert context.startswith("‡ Skip-GANomaly as context, not to be compared: benchmark page")
    assert context.endswith("(origin and protocol unknown)")
    assert elsewhere == "published too, without a suite here: MVTec-AD, MPDD, CIFAR-10-C"


def test_what_was_published_under_another_protocol_is_context_in_the_tables_of_the_paper_with_its_reason() -> None:
    """They are in the paper's tables, but what their authors did is not what these suites do."""
    context = [
        figure
        for name in ("1", "2", "3", "4", "5")
        for by_place in of_table(name).values()
        for figure in by_place.values()
        if figure.kind == "context"
    ]
    assert {figure.method for figure in context} == {"GPND", "DAGPR", "AnoNAGN", "ADDPA"}
    assert all(figure.note for figure in context)


def siunitx_lines(table: Table, decimals: int = 2) -> list[str]:
    return [" ".join(line.split()) for line in rendered(table, "siunitx", decimals).splitlines()]


def test_siunitx_gets_figures_bare_and_everything_else_in_braces() -> None:
    cells = {
        "a": {"m": Cell((0.5, 0.7), 2), "p": Cell((0.9,), kind="published", mark="‡"), "f": Cell((), 1, 1)},
        "b": {"m": Cell((0.9,), 2), "p": Cell((-0.04,), kind="difference"), "f": Cell()},
    }
    lines = siunitx_lines(Table("", "class", ["a", "b"], ["m", "p", "f"], cells))
    (begin,) = (line for line in lines if line.startswith(r"\begin{tabular}"))
    assert begin.split("S[table-format=")[1:] == ["1.2(2){ (1/2)}]", r"+1.2{$^\ddagger$}]", "1.2]@{}}"]
    assert r"class & {m} & {p} & {f} \\" in lines
    assert r"a & 0.60 \pm 0.14 & \publishedfont 0.90{$^\ddagger$} & {failed} \\" in lines
    assert r"b & 0.90{ (1/2)} & -0.04 & {--} \\" in lines


def test_siunitx_has_room_for_figures_without_decimals() -> None:
    table = Table("", "class", ["a"], ["m"], {"a": {"m": Cell((12.0, 14.0), 2)}})
    assert r"\begin{tabular}{@{}lS[table-format=2(1)]@{}}" in siunitx_lines(table, 0)


def test_siunitx_goes_with_latex_alone() -> None:
    with pytest.raises(BenchError, match="--siunitx goes with --format latex"):
        CliRunner().invoke(app, ["table", "--siunitx", "--format", "csv"], catch_exceptions=False)


def test_every_published_name_in_bench_toml_is_in_the_figures() -> None:
    for name, table in load_config().tables.items():
        assert set(table.published.values()) <= set(of_table(name)), name
