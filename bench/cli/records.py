"""``bench export`` and ``bench gc``: records for other tools, and records that nobody needs any more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="records.csv or records.parquet.")],
    results: options.Results = None,
    config: options.Config = None,
) -> None:
    """Write every record to one table, a row each: figures, costs, parameters, provenance."""
    from bench.report.frame import write
    from bench.report.request import read_records
    from bench.workspace import open_workspace

    typer.echo(f"{write(read_records(open_workspace(config, None, results)), file)} records in {file}")


def gc(
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove it; without this, only say what would be removed.")
    ] = False,
    results: options.Results = None,
    config: options.Config = None,
) -> None:
    """Remove what killed runs left half written, and records that newer ones of the same job stand in for."""
    from bench.report.request import currency
    from bench.report.selection import superseded
    from bench.store import Store
    from bench.workspace import open_workspace

    workspace = open_workspace(config, None, results)
    store = Store(workspace.results)
    records, unreadable = store.records()
    for error in unreadable:
        print(f"warning: {error}", file=sys.stderr)  # noqa: T201
    old = superseded(records, currency(workspace))
    leftovers = store.leftovers()
    for record in old:
        typer.echo(f"superseded  {record.job.key[:12]}  {record.job.title}, profile {record.job.profile}")
    for leftover in leftovers:
        typer.echo(f"leftover    {leftover}")
    what = f"{len(old)} superseded records and {len(leftovers)} leftover files"
    if not yes:
        typer.echo(f"{what} would be removed" + ("; do it with --yes" if old or leftovers else ""))
        return
    for record in old:
        store.remove(record)
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    typer.echo(f"{what} removed")
