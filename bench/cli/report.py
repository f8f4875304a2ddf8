"""``bench report``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import options
from bench.terminal import echo


def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Tables of bench.toml, suites or datasets (default: everything that has records)."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write.")] = Path("report.html"),
    figures: Annotated[
        Literal["none", "main", "all"],
        typer.Option(help="Which figures: none, those that show methods side by side, or also those of single runs."),
    ] = "main",
    tolerance: options.Tolerance = 0.01,
    methods: options.Methods = None,
    classes: options.Classes = None,
    seeds: options.Seeds = None,
    profile: options.Profile = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Write one HTML page that needs nothing else: tables, figures, tests, failed jobs, origin, how to repeat it."""
    from bench.errors import BenchError
    from bench.provenance import command
    from bench.report.narrowing import Wanted
    from bench.report.page.document import page
    from bench.report.request import read_records
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    wanted = Wanted(methods, classes, seeds, profile)
    made = page(names or [], read_records(workspace), workspace, wanted, figures, shlex.join(command()))
    html = made.html(tolerance)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(html, encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror or error}; name another file with --out") from error
    echo(f"{out}: {len(made.sections)} tables, {len(html.encode()) / 1e6:.1f} MB; open it in a browser")
