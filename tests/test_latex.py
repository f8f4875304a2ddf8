"""LaTeX tables: they fit their layout with no text below 7 points, compile without a warning, and tell no internals."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BenchError
from bench.report.notes import Note, in_words
from bench.report.tables import latex
from bench.report.tables.arrangement import HEIGHT, arranged, sheet
from bench.report.tables.latex_cells import escaped
from bench.report.tables.table import Cell, Table
from bench.report.tables.widths import SMALLEST, lines, packed, width

RESULTS = Path(__file__).parent.parent / "results"
LAYOUTS: Sequence[latex.Layout] = ("page", "column")
SIGNS = "− ± × † ‡ ≤ ≥ → Δ α β γ λ μ ν σ ω – — “quoted” é"


def table(columns: int, rows: int = 3, published: Mapping[str, str] | None = None, name: str = "method_{}") -> Table:
    """So many methods with a deviation each, and published figures with their differences beside them."""
    labels, classes = [name.format(number) for number in range(columns)], [str(number) for number in range(rows)]
    beside = published or {}
    cells = {
        row: {
            **{label: Cell((0.5 + place / 100, 0.6 + place / 100), 2) for place, label in enumerate(labels)},
            **{line: Cell((0.9,), kind="published", mark="‡") for line in beside.values()},
            **{f"Δ {label}": Cell((-0.1,), kind="difference") for label in beside},
        }
        for row in classes
    }
    every = [*labels, *beside.values(), *(f"Δ {label}" for label in beside)]
    return Table("A table", "class", classes, every, cells, published=beside)


def compiled(text: str, folder: Path, name: str = "tables") -> str:
    """What pdflatex says of a document. Skips without it, unless BENCH_REQUIRE_LATEX=1 makes that a failure."""
    if shutil.which("pdflatex") is None:
        if os.environ.get("BENCH_REQUIRE_LATEX") == "1":
            pytest.fail("BENCH_REQUIRE_LATEX=1 asks for LaTeX, but there is no pdflatex")
        pytest.skip("there is no pdflatex")
    (folder / f"{name}.tex").write_text(text, encoding="utf-8")
    for _ in range(2):  # the second time for references
        ended = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"],
            cwd=folder, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout
    return ended.stdout


def complaints(told: str) -> list[str]:
    return [line for line in told.splitlines() if re.search(r"Warning|Overfull|Underfull|undefined|too large", line)]


# ---------------------------------------------------------------------------------------------------------------------
# What fits


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("columns", [1, 3, 10, 40])
def test_no_block_is_wider_than_the_layout_and_none_is_lost(layout: latex.Layout, columns: int) -> None:
    made = sheet(table(columns))
    how = arranged(made, latex.WIDTHS[layout], 3, [])
    assert [column for block in how.blocks for column in block] == made.columns
    assert sum(how.tables) == len(how.blocks)
    for block in how.blocks:
        own = sum(width("0.555 ± 0.071", how.size) + 6 for _ in block)
        assert own + width("class", how.size) <= latex.WIDTHS[layout]


def test_what_fits_in_one_block_has_the_largest_text_that_does() -> None:
    found = {limit: arranged(sheet(table(3)), limit, 3, []) for limit in range(150, 250, 2)}
    ended = [how.size for how in found.values() if len(how.blocks) == 1]
    assert ended == sorted(ended)
    assert set(ended) == {7, 8, 9}, "the more room, the larger"
    broken = [how for how in found.values() if len(how.blocks) == 2]
    assert {how.size for how in broken} == {9}, "broken in any case, there is room"


def test_blocks_are_as_few_as_can_be_and_alike() -> None:
    assert packed([10] * 10, 35) == [3, 3, 3, 1]
    assert packed([10] * 10, 50) == [5, 5]
    assert packed([10] * 7, 60) == [4, 3]
    assert packed([30, 10, 10, 10], 40) == [1, 3]
    assert packed([90, 10], 40) == [1, 1], "what fits nowhere stands alone"


def test_what_is_too_high_goes_on_in_another_table_of_the_same_number() -> None:
    high = table(10, rows=30)
    text = latex.environment(dataclasses.replace(high, notes=["a note"]), layout="column")
    assert text.count(r"\begin{table}") == text.count("(continued)") + 1 > 1
    assert text.count(r"\addtocounter{table}{-1}") == text.count("(continued)")
    assert text.count(r"\label{") == 1
    assert text.rindex("a note") > text.rindex(r"\end{tabular}")
    how = arranged(sheet(high), 234, 3, [])
    assert all(30 * how.size * 1.2 * count < HEIGHT for count in how.tables)


def test_long_names_are_broken_between_words() -> None:
    assert lines("shared_ae (alpha 300, variant two_ede)", 7, 60) == ["shared_ae", "(alpha 300,", "variant", "two_ede)"]
    assert lines("", 7, 60) == [""]
    text = latex.environment(table(1, name="shared_ae(alpha={}00.0,variant='two_ede')"))
    assert r"\begin{tabular}[b]{@{}r@{}}shared\_ae\\(alpha 0," in text
    turned = latex.environment(
        table(1, name="a_very_long_name(alpha={}00.0,variant='two_ede')").transposed(), layout="column"
    )
    assert r"\begin{tabular}[t]{@{}l@{}}a\_very" in turned


def test_a_spec_is_put_into_words_and_a_name_is_left() -> None:
    for name, words in {
        "vae": "vae",
        "shared_ae(alpha=300.0,variant='two_ede')": "shared_ae (alpha 300, variant two_ede)",
        "shared_ae(note='a b',sizes=(1,2)) (oracle)": "shared_ae (note a b, sizes 1 and 2) (oracle)",
        "knn(k=5) †": "knn (k 5) †",
        "two EDEs": "two EDEs",
        "Ours, published": "Ours, published",
        "an (odd(name": "an (odd(name",
    }.items():
        assert in_words(name) == words


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_text_is_smaller_than_seven_points(layout: latex.Layout) -> None:
    text = latex.environment(table(12, published={"method_0": "P, published"}), layout=layout)
    sizes = [float(size) for size in re.findall(r"\\fontsize\{([\d.]+)\}", text)]
    assert min(sizes) == SMALLEST == 7
    assert "resizebox" not in text
    assert not re.search(r"\\(tiny|scriptsize|scalebox)", text)


# ---------------------------------------------------------------------------------------------------------------------
# What stands where


@pytest.mark.parametrize("turned", [False, True])
def test_a_published_figure_stands_below_its_methods_and_differences_are_left_out(turned: bool) -> None:
    both = table(2, rows=1, published={"method_1": "P, published"})
    text = latex.environment(both.transposed() if turned else both)
    assert "Δ" not in text
    assert "Delta" not in text
    assert "P, published" not in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()
    below = next(place for place, line in enumerate(body) if r"\publishedfont 0.900$^\ddagger$" in line)
    assert body[below].count("&") == body[below - 1].count("&")
    cells = [cell.strip(" \\") for cell in body[below - 1].split("&")]
    assert cells[-1].endswith(r"0.560 $\pm$ 0.071}"), "the best, in bold"
    assert cells[0] == (r"method\_1" if turned else "0")


def test_what_others_published_has_a_line_of_its_own() -> None:
    both = table(1, rows=1)
    cells = {"0": {**both.cells["0"], "PIAD, published": Cell((0.9,), kind="published")}}
    text = latex.environment(dataclasses.replace(both, columns=["method_0", "PIAD, published"], cells=cells))
    assert r"0 & 0.550 $\pm$ 0.071 & \publishedfont 0.900 \\" in text


def test_what_concerns_the_records_is_a_comment_and_the_rest_is_in_words() -> None:
    notes = [
        Note("5 records are stale", ""),
        Note("epochs: a(b=1) 3", "epochs of training: a (b 1) 3"),
        "plain & simple",
    ]
    made = dataclasses.replace(table(1), notes=notes, title="Table 3. It (internal)", caption="It")
    text = latex.environment(made)
    comments = [line for line in text.splitlines() if line.startswith("% ")]
    assert comments == ["% 5 records are stale", "% epochs: a(b=1) 3"]
    assert r"\caption{It}" in text
    printed = text[text.index(r"\begin{minipage}") :]
    assert "stale" not in printed
    assert "epochs of training: a (b 1) 3.\\par\nplain \\& simple.\\par" in printed


def test_a_layout_goes_with_latex_alone() -> None:
    with pytest.raises(BenchError, match="--layout goes with --format latex"):
        CliRunner().invoke(app, ["table", "--layout", "column"], catch_exceptions=False)


# ---------------------------------------------------------------------------------------------------------------------
# As LaTeX sees it


@pytest.mark.parametrize("siunitx", [False, True], ids=["plain", "siunitx"])
def test_the_document_compiles_without_a_warning(siunitx: bool, tmp_path: Path) -> None:
    published = {"method_0": "Ours, published", "method_11": "VAE, published"}
    made = dataclasses.replace(table(12, rows=11, published=published), notes=[f"signs: {SIGNS}", "50 % of a_b & #1"])
    for layout in LAYOUTS:
        shown = [dataclasses.replace(each, title=f"Number {n}") for n, each in enumerate((made, made.transposed()))]
        told = compiled(latex.document(shown, siunitx=siunitx, layout=layout), tmp_path)
        assert complaints(told) == []
        assert (tmp_path / "tables.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("options", [[], ["--transpose"], ["--siunitx"]], ids=["plain", "transposed", "siunitx"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tables_of_the_reference_run_fit_and_compile(layout: str, options: list[str], tmp_path: Path) -> None:
    words = [
        "table",
        "all",
        "--results",
        str(RESULTS / "reference"),
        "--format",
        "latex",
        "--document",
        "--layout",
        layout,
    ]
    text = CliRunner().invoke(app, [*words, *options]).stdout
    assert text.count(r"\caption{") >= 6
    assert complaints(compiled(text, tmp_path)) == []
    printed = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"stale|version 1|profile cpu|bench run|code:|\(epochs=", printed)


def test_widths_are_those_of_latex_or_a_little_more(tmp_path: Path) -> None:
    texts = [
        "0.953 ± 0.014", "0.953 ± 0.014 (2/3)", "failed", "0.989‡", "−0.131", "skip_ganomaly", "automobile", "oak_tree",
        "shared_ae (alpha 300, variant two_ede)", "mnist_holdout", "mean_image", "principal components", "Two EDEs",
    ]  # fmt: skip
    asked = [(size, bold, text) for size in (7, 8, 9) for bold in (False, True) for text in texts]
    fonts = {False: r"\textrm", True: r"\textbf"}
    boxes = "\n".join(
        rf"\fontsize{{{size}}}{{{size}}}\selectfont\setbox0\hbox{{{fonts[bold]}{{{escaped(text)}}}}}"
        r"\typeout{WIDTH \the\wd0}"
        for size, bold, text in asked
    )
    start = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\begin{document}"
    told = compiled(f"{start}\n{boxes}\n\\null\\end{{document}}", tmp_path, "widths")
    found = [float(points) for points in re.findall(r"WIDTH ([\d.]+)pt", told)]
    for (size, bold, text), points in zip(asked, found, strict=True):
        assert 0.995 < width(text, size, bold) / points < 1.16, (size, bold, text)


def test_the_sizes_rise_with_the_width() -> None:
    assert all(width("0.953 ± 0.014", a) < width("0.953 ± 0.014", b) for a, b in pairwise((7, 8, 9)))
