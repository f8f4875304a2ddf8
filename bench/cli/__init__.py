"""The command ``bench``. Each command imports what it needs when it runs, so that help and listings are instant."""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from bench.cli import (
    bundle,
    check,
    choose,
    cite,
    compare,
    data,
    figures,
    leaderboard,
    listing,
    new,
    records,
    report,
    reproduce,
    run,
    stats,
    status,
    submission,
    table,
    tune,
    use,
    verify,
)
from bench.errors import BenchError
from bench.terminal import echo
from bench.version import VERSION

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help starts in half the time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("plan")(run.plan)
app.command("reproduce")(reproduce.reproduce)
app.command("rerun", hidden=True)(reproduce.rerun)
app.command("table")(table.table)
app.command("stats")(stats.stats)
app.command("figures")(figures.figures)
app.command("report")(report.report)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("verify")(verify.verify)
app.command("compare")(compare.compare)
app.command("tune")(tune.tune)
app.command("choose")(choose.choose)
app.command("fit")(use.fit)
app.command("score")(use.score)
app.command("status")(status.status)
app.command("show")(listing.show)
app.command("cite")(cite.cite)
app.command("export")(records.export)
app.command("pack")(records.pack)
app.command("bundle")(bundle.bundle)
app.command("submit")(submission.submit)
app.command("check-submission")(submission.check_submission)
app.command("gc")(records.gc)
app.command("list")(listing.list_names)
app.command("doctor")(listing.doctor)
app.command("check")(check.check)
app.add_typer(data.app, name="data")
app.add_typer(new.app, name="new")


def _version(asked: bool) -> None:
    if asked:
        echo(f"oneclass-bench {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is, and stop.")
    ] = False,
) -> None:
    """Fair, fast, reproducible benchmarking of one-class image anomaly detection."""


def main() -> None:
    """Run the command line. Exit codes: 0 all well, 1 some jobs failed, 2 wrong usage, 128 + n stopped by signal n."""
    gc.set_threshold(50_000)  # starting up allocates much and frees little: fewer collections, a fifth less time
    try:
        app()
    except BenchError as error:
        echo(f"error: {error}", err=True)
        sys.exit(2)
