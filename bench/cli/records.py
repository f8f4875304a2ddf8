"""``bench export`` and ``bench gc``: records for other tools, and records that nobody needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options
from bench.errors import warn
from bench.terminal import echo


def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="records.csv or records.parquet; mlflow:URI, as mlflow:sqlite:///mlflow.db or mlflow:http://host:5000 "
            "(mlflow: alone takes MLflow's own default); wandb:PROJECT or wandb:ENTITY/PROJECT "
            "(with WANDB_MODE=offline into the folder wandb).",
        ),
    ],
    results: options.Results = None,
    config: options.Config = None,
) -> None:
    """Write every record to one table, a row each: figures, costs, parameters, provenance.

    Or to an experiment tracker, a run each; a record that is there already is left alone.
    """
    from bench.report import frame, trackers
    from bench.report.request import read_records
    from bench.workspace import open_workspace

    records = read_records(open_workspace(config, None, results))
    tracker, colon, place = target.partition(":")
    if not colon or target.endswith(frame.SUFFIXES):
        echo(f"{frame.write(records, Path(target))} records in {target}")
    else:
        written = trackers.export(records, tracker, place)
        echo(f"{written} records exported to {target}, {len(records) - written} were there already")


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
        warn(error)
    old = superseded(records, currency(workspace))
    leftovers = store.leftovers()
    for record in old:
        echo(f"superseded  {record.job.key[:12]}  {record.job.title}, profile {record.job.profile}")
    for leftover in leftovers:
        echo(f"leftover    {leftover}")
    what = f"{len(old)} superseded records and {len(leftovers)} leftover files"
    if not yes:
        echo(f"{what} would be removed" + ("; do it with --yes" if old or leftovers else ""))
        return
    for record in old:
        store.remove(record)
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    echo(f"{what} removed")
