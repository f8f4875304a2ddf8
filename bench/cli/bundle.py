"""``bench bundle``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import options
from bench.errors import BenchError, warn
from bench.terminal import echo


def bundle(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder to make, or a file that ends in .zip.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Tables of bench.toml, suites or datasets (default: everything that has records)."),
    ] = None,
    figures: Annotated[
        Literal["none", "main", "all"], typer.Option(help="Which figures the report has: see bench report.")
    ] = "main",
    profile: options.Profile = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Pack records with all that others need to make them again: plugins' source, bench.toml, versions, the report.

    In the folder, or the unpacked file, every command works as it does here, bench reproduce KEY above all.
    """
    from bench.config import merged_config
    from bench.provenance import command
    from bench.report.export.bundle import write_bundle
    from bench.report.narrowing import Wanted
    from bench.report.page.document import page
    from bench.report.request import read_records, records_of, results_of
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    records = read_records(workspace)
    named = {record.job.key: record for name in names or [] for record in records_of(name, records, workspace, profile)}
    chosen = list(named.values()) if names else [r for r in records if profile in (None, r.job.profile)]
    report = page(names or [], records, workspace, Wanted(profile=profile), figures, shlex.join(command())).html(
        tolerance=0.01
    )
    codes = write_bundle(chosen, workspace, results_of(chosen[0], workspace), merged_config(config), report, out)
    for code in codes:
        if code.plugin is None:
            warn(BenchError(f"the code of {code.kind} {code.name} is lost, by which {code.records} records were made"))
    if any(record.provenance.get("git_dirty") for record in chosen):
        warn(BenchError("some records were made by code of bench with changes that no commit has, and others lack"))
    there = sum(code.plugin is not None for code in codes)
    echo(f"{out}: {len(chosen)} records, the code of {there} plugins, bench.toml, versions and the report")
