"""``bench leaderboard``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options
from bench.terminal import echo


def leaderboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RESULTS…]", help="Folders of records (default: every one in results that has any)."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")] = Path("leaderboard"),
    records_at: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where this folder is on the web, for links to records (default: its files)."),
    ] = None,
    config: options.Config = None,
) -> None:
    """Write pages that rank every method in every setting and lead to the records of each figure. They need no script.

    A table has one dataset, protocol, profile, training cap and precision; nothing else is held against each other.
    """
    from bench.errors import BenchError, warn
    from bench.report.leaderboard.entries import boards
    from bench.report.leaderboard.site import write_site
    from bench.report.request import REFERENCE, currency
    from bench.workspace import open_workspace

    workspace = open_workspace(config)
    places = folders or sorted(folder for folder in REFERENCE.parent.glob("*") if folder.is_dir())
    made, unreadable = boards(places, workspace.config, currency(workspace))
    for error in unreadable:
        warn(error)
    if not made:
        named = ", ".join(map(str, places)) or str(REFERENCE.parent)
        raise BenchError(f"no records in {named}; make some with bench run, or name the folders that have them")
    size = write_site(made, out, records_at)
    entries = sum(len(board.entries) for board in made)
    echo(f"{out / 'index.html'}: {len(made)} tables, {entries} entries, {size / 1e6:.1f} MB; open it in a browser")
