"""``bench cite``."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli import options
from bench.terminal import echo


def cite(
    suite: Annotated[str, typer.Option(help="A suite, a table of bench.toml, or a dataset.")],
    methods: options.Methods = None,
    profile: options.Profile = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Print BibTeX of the methods, datasets and protocols that a suite's records used; name what has none."""
    from bench.report.export.references import references, used
    from bench.report.narrowing import Wanted
    from bench.report.request import read_records
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    found = references(used(suite, read_records(workspace), workspace, Wanted(methods=methods, profile=profile)))
    echo("\n".join(found.entries), nl=False)
    if found.without:
        named = ", ".join(map(str, found.without))
        echo(f"no reference for {named}; a plugin brings its own in a file beside it: docs/plugins.md", err=True)
