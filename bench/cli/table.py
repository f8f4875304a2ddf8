"""``bench table``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from bench.cli import options
from bench.terminal import echo


def table(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tables of bench.toml or suites; all: every table with records.")
    ] = None,
    format_: Annotated[Literal["text", "markdown", "latex", "html", "csv", "json"], typer.Option("--format")] = "text",
    metric: options.Metric | None = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…", help="Several figures side by side, e.g. auroc,aupro_30,seconds; a table for each class."
        ),
    ] = None,
    selection: Annotated[
        Literal["last", "oracle", "both", "every"],
        typer.Option(
            help="The last epoch's figure, the best one by the test labels (of a run with --trace), or both; every: "
            "also that of test batches normalised by themselves."
        ),
    ] = "last",
    published: Annotated[
        Literal["none", "own", "all"],
        typer.Option(help="Published figures beside the reproduced ones: none, of the methods shown, or of all."),
    ] = "own",
    transpose: Annotated[bool, typer.Option("--transpose", help="Rows as columns.")] = False,
    document: Annotated[
        bool, typer.Option("--document", help="With --format latex: a whole document, to compile and look at.")
    ] = False,
    siunitx: Annotated[
        bool, typer.Option("--siunitx", help="With --format latex: aligned at the decimal point, by that package.")
    ] = False,
    layout: Annotated[
        Literal["page", "column"],
        typer.Option(help="With --format latex: as wide as a page of two columns, or as one of them."),
    ] = "page",
    decimals: Annotated[int, typer.Option(min=0, max=10)] = 3,
    methods: options.Methods = None,
    classes: options.Classes = None,
    seeds: options.Seeds = None,
    profile: options.Profile = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Print tables from the records: mean ± deviation over seeds; † marks what used more than normal images.

    Methods are compared on the classes and seeds that all of them have; the notes say what that leaves out.
    """
    from bench.errors import BenchError
    from bench.report.narrowing import Wanted
    from bench.report.request import read_records, tables
    from bench.report.tables import latex
    from bench.report.tables.formats import rendered
    from bench.workspace import open_workspace

    for option, given in (("--document", document), ("--siunitx", siunitx), ("--layout", layout != "page")):
        if given and format_ != "latex":
            raise BenchError(f"{option} goes with --format latex")
    workspace = open_workspace(config, data, results)
    wanted = Wanted(methods, classes, seeds, profile)
    side_by_side = [each.strip() for each in metrics.split(",") if each.strip()] if metrics is not None else None
    made = tables(
        names or ["all"], read_records(workspace), workspace, metric, wanted, selection, published, side_by_side
    )
    shown = [each.transposed() if transpose else each for each in made]
    if document:
        echo(latex.document(shown, decimals, siunitx, layout), nl=False)
        return
    form = "siunitx" if siunitx else format_
    echo("\n".join(rendered(each, form, decimals, layout) for each in shown), nl=False)
