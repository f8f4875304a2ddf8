"""Published figures beside reproduced ones, and tables from a fixed small set of records, byte for byte."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from records import make_record

from bench.config import load_config
from bench.report import latex
from bench.report.beside import with_published
from bench.report.formats import rendered
from bench.report.published import figures, of_table
from bench.report.selection import select
from bench.report.tables import Cell, Table, class_table, suite_table
from bench.store import Record

GOLDEN = Path(__file__).parent / "golden"
FORMATS = {"text": "txt", "markdown": "md", "latex": "tex", "csv": "csv", "json": "json"}


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
    file = GOLDEN / f"table{'-transposed' if turned else ''}.{FORMATS[form]}"
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
    (inferred,) = [figure for figure in figures() if figure.kind == "inferred"]
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


def test_context_and_columns_of_unknown_classes_are_in_no_table() -> None:
    for table in load_config().tables:
        for by_place in of_table(table).values():
            assert all(figure.kind != "context" and figure.table == table for figure in by_place.values())
    selection = select([done("shared_ae", "cup", 0, 0.9, dataset="cifar100")], lambda record: True)
    made = class_table(selection, "auroc")
    assert with_published(made, "4", {"shared_ae": "Ours"}, ["cifar100"], "own").columns == ["shared_ae"]


def test_every_published_name_in_bench_toml_is_in_the_figures() -> None:
    for name, table in load_config().tables.items():
        assert set(table.published.values()) <= set(of_table(name)), name


@pytest.mark.parametrize("turned", [False, True])
def test_the_document_compiles_without_a_warning(table: Table, turned: bool, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        if os.environ.get("BENCH_REQUIRE_LATEX") == "1":
            pytest.fail("BENCH_REQUIRE_LATEX=1 asks for LaTeX, but there is no pdflatex")
        pytest.skip("there is no pdflatex")
    every_sign = dataclasses.replace(table, notes=[*table.notes, "− ± × † ‡ ≤ ≥ → Δ α β γ λ μ ν σ ω – — “quoted” é"])
    shown = every_sign.transposed() if turned else every_sign
    (tmp_path / "tables.tex").write_text(latex.document([shown, shown]), encoding="utf-8")
    for _ in range(2):  # the second time for references
        ended = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"],
            cwd=tmp_path, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout
    unwanted = [line for line in ended.stdout.splitlines() if re.search(r"Warning|Overfull|Underfull|undefined", line)]
    # both copies carry the same label
    assert [line for line in unwanted if "multiply" not in line and "multiply-defined" not in line] == []
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000
