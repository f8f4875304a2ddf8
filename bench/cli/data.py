"""``bench data``: what datasets there are, where they lie, and whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.specs import Spec
    from bench.workspace import Workspace

Name = Annotated[str, typer.Argument(help="A dataset's spec, e.g. mnist.")]

app = typer.Typer(help="List, fetch and verify datasets.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_data(data: options.Data = None, config: options.Config = None) -> None:
    """List the datasets and say which are in the data folder."""
    from bench.errors import BenchError, DataMissing
    from bench.specs import Spec
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data)
    echo(f"data folder: {workspace.data}")
    width = max(map(len, workspace.datasets.names()), default=0)
    for name in workspace.datasets.names():
        try:
            workspace.source(Spec(name)).source_files(workspace.data)
            state = "there"
        except DataMissing:
            state = f"not there; get it:  bench data fetch {name}"
        except BenchError as error:  # one that needs parameters
            state = str(error)
        echo(f"  {name:{width}}  {state}")


@app.command()
def fetch(name: Name, data: options.Data = None, config: options.Config = None) -> None:
    """Download a dataset to the data folder and prepare it. What is there and whole stays."""
    workspace, spec = _opened(name, data, config)
    workspace.source(spec).fetch(workspace.data)
    prepared = workspace.dataset(spec)
    echo(f"{spec}: {len(prepared.images)} images of {len(prepared.classes)} classes in {workspace.data}")


@app.command()
def verify(name: Name, data: options.Data = None, config: options.Config = None) -> None:
    """Read a dataset's original files and its prepared arrays, and hold both against their checksums."""
    from bench import prepared as cache

    workspace, spec = _opened(name, data, config)
    source = workspace.source(spec)
    source.source_files(workspace.data)
    content = source.read(workspace.data)
    prepared = workspace.dataset(spec)
    cache.verify(prepared)
    cache.compare(prepared, content)
    echo(f"{spec}: {len(prepared.images)} images whole, checksum {prepared.checksum}")


@app.command()
def path(data: options.Data = None, config: options.Config = None) -> None:
    """Print the data folder."""
    from bench.config import data_folder, load_config

    echo(str(data_folder(data, load_config(config))))


def _opened(name: str, data: Path | None, config: Path | None) -> tuple[Workspace, Spec]:
    """The workspace, and the dataset's spec with its parameters checked."""
    from bench.specs import parse_spec
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data)
    return workspace, workspace.datasets.resolve(parse_spec(name))
