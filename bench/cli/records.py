"""``bench export``, ``bench pack`` and ``bench gc``: records for other tools, in one file, and not needed any more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options
from bench.errors import BenchError, warn
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

    The column ``current`` is false where a newer record of the same job, or one of today's code, stands in for it.
    Or to an experiment tracker, a run each; a record that is there already is left alone.
    """
    from bench.report.export import frame, trackers
    from bench.report.request import currency, read_records
    from bench.report.selection import superseded
    from bench.workspace import open_workspace

    workspace = open_workspace(config, None, results)
    records = read_records(workspace, as_shown=False)
    tracker, colon, place = target.partition(":")
    if not colon or target.endswith(frame.SUFFIXES):
        old = superseded(records, currency(workspace))
        told = f", {len(old)} of them superseded (current is false)" if old else ""
        echo(f"{frame.write(records, Path(target), workspace.config.shown(), old)} records in {target}{told}")
    else:
        written = trackers.export(records, tracker, place)
        echo(f"{written} records exported to {target}, {len(records) - written} were there already")


def pack(
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE]", help="A suite, a table or a dataset (default: every record).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The archive (default: SUITE.zip among the records).")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Then remove the loose records that are in it.")] = False,
    profile: options.Profile = None,
    results: options.Results = None,
    config: options.Config = None,
) -> None:
    """Write records into one archive, for a repository: each whole, with the order of its scores.

    An archive in a results folder is read as the loose records are. It is made once; records that came later, or that
    are in no archive yet, make another one.
    """
    from bench.report.request import currency, records_of
    from bench.report.selection import superseded
    from bench.store import Store
    from bench.workspace import open_workspace

    workspace = open_workspace(config, None, results)
    store = Store(workspace.results)
    records, unreadable = store.records()
    for error in unreadable:
        warn(error)
    path = out if out is not None else workspace.results / f"{suite or 'records'}.zip"
    if remove and path.parent.resolve() != workspace.results.resolve():
        raise BenchError(f"with --remove the archive has to be among the records, in {workspace.results}; not {path}")
    old = {record.job.key for record in superseded(records, currency(workspace))}
    named = records_of(suite, records, workspace, profile) if suite else records
    chosen = [record for record in named if not (record.job.key in old or store.archive(record.job))]
    if not chosen:
        raise BenchError(f"every record of {suite or 'all'} in {workspace.results} is in an archive already")
    bare = len(chosen) - store.pack(chosen, path)
    told = f"{len(chosen)} records in {path}, {path.stat().st_size / 1e6:.1f} MB"
    echo(told + (f"; {bare} of them have no scores" if bare else ""))
    if old:
        echo(f"{len(old)} superseded records are left out; bench gc removes them")
    if remove:
        for record in chosen:
            store.remove(record)
        echo("their loose files are removed")


def gc(
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove it; without this, only say what would be removed.")
    ] = False,
    results: options.Results = None,
    config: options.Config = None,
) -> None:
    """Remove what killed runs left behind, and records that newer ones of the same job stand in for.

    With them goes the kept code of plugins that no other record was made with. Archives are left as they are.
    """
    import shutil
    import time

    from bench.execution import claims
    from bench.report.request import currency
    from bench.report.selection import superseded
    from bench.sources import DATASET_SOURCE, Sources
    from bench.store import LEFTOVER_SECONDS, Store
    from bench.workspace import open_workspace

    workspace = open_workspace(config, None, results)
    store = Store(workspace.results)
    records, unreadable = store.records()
    for error in unreadable:
        warn(error)
    old = [each for each in superseded(records, currency(workspace)) if store.archive(each.job) is None]
    leftovers = [*store.leftovers(), *claims.leftovers(workspace.results)]
    if not unreadable:  # else what those were made with cannot be told
        gone = {record.job.key for record in old}
        kept = [record for record in records if record.job.key not in gone]
        needed = {each for r in kept for each in (r.job.fingerprint, r.provenance.get(DATASET_SOURCE, ""))}
        leftovers += Sources(workspace.results).leftovers(needed, time.time() - LEFTOVER_SECONDS)
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
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    echo(f"{what} removed")
