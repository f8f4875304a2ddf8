"""``bench list``, ``show`` and ``doctor``: what there is, and how it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import options

if TYPE_CHECKING:
    from pathlib import Path


Listed = Literal["methods", "datasets", "protocols", "suites", "profiles"]


def list_names(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    as_json: options.Json = False,
    config: options.Config = None,
) -> None:
    """List the names that other commands take, each with its summary."""
    rows = _listed(what, config)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        note = f"UNAVAILABLE: {row['problem']}" if row.get("problem") else row["summary"]
        typer.echo(f"{row['name']:{width}}  {note}")


def show(
    key: Annotated[str, typer.Argument(help="A record's key, or its beginning.")],
    as_json: options.Json = False,
    results: options.Results = None,
    config: options.Config = None,
) -> None:
    """Show one record: what was run, how it ended, its figures and where they come from."""
    from bench.report.request import find_record
    from bench.workspace import open_workspace

    record = find_record(key, open_workspace(config, None, results))
    if as_json:
        typer.echo(record.to_json(), nl=False)
        return
    typer.echo(f"{record.job.title}: {record.status}\nkey {record.job.key}")
    facts = json.loads(record.to_json())
    for section in ("job", "split", "metrics", "cost", "parameters", "ledger", "provenance"):
        if facts[section]:
            typer.echo(f"\n{section}")
            for name, value in facts[section].items():
                typer.echo(f"  {name}: {value}")
    if record.epochs:
        typer.echo(f"\nepochs: {len(record.epochs)}, the last: {record.epochs[-1]}")
    if record.oracle is not None:
        typer.echo(f"\noracle (the best epoch or candidate by the test labels): AUROC {record.oracle:.4f}")
    for candidate in record.oracle_candidates:
        typer.echo(f"  oracle candidate {candidate['parameters']}: AUROC {candidate['auroc']:.4f}")
    for attempt in record.attempts:
        typer.echo(f"\nearlier attempt: {attempt['status']}: {attempt.get('message', '')}")
    for name, value in (record.error or {}).items():
        typer.echo(f"\n{name}:\n{value}")


def doctor(
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Check the installation, the plugins, the datasets and the folders. Exit code 1: something is broken."""
    from bench.provenance import environment
    from bench.specs import Spec
    from bench.store import Store
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    facts = environment()
    typer.echo(f"bench {facts['bench']}, Python {facts['python']}, {facts['cpu']}, {facts['cores']} cores")
    typer.echo("  " + ", ".join(f"{name} {version}" for name, version in facts["libraries"].items()))
    typer.echo(f"  GPUs: {_gpu_names()}")
    broken = 0
    typer.echo("\nplugins")
    for registry in (workspace.methods, workspace.datasets):
        for name in registry.names():
            problem = _problem(lambda registry=registry, name=name: registry.load(name))
            broken += bool(problem)
            typer.echo(f"  {registry.kind} {name}: {problem or 'ok'}")
    typer.echo(f"\ndatasets in {workspace.data}")
    for name in workspace.datasets.names():
        if not _problem(lambda name=name: workspace.datasets.resolve(Spec(name))):
            absent = _problem(lambda name=name: workspace.source(Spec(name)).source_files(workspace.data))
            typer.echo(f"  {name}: {'not there (bench data list tells more)' if absent else 'there'}")
    problem = _problem(Store(workspace.results).require_writable)
    broken += bool(problem)
    typer.echo(f"\nresults folder {workspace.results}: {problem or 'can be written'}")
    if broken:
        typer.echo(f"\n{broken} {'thing is' if broken == 1 else 'things are'} broken", err=True)
        raise typer.Exit(1)


def _listed(what: Listed, config_file: Path | None) -> list[dict[str, Any]]:
    if what == "protocols":
        from bench.protocols import PROTOCOLS

        return [{"name": p.name, "version": p.version, "summary": p.summary} for p in PROTOCOLS.values()]
    if what in ("suites", "profiles"):
        from bench.config import load_config

        config = load_config(config_file)
        named = config.suites if what == "suites" else config.profiles
        return [{"name": name, "summary": each.summary} for name, each in named.items()]
    from bench.layers import plugin_folders
    from bench.registry import Registry

    registry = Registry("method" if what == "methods" else "dataset", plugin_folders(what, config_file))
    plugins = [registry.find(name) for name in registry.names()]
    return [{"name": p.name, "summary": p.summary, "source": p.source, "problem": p.problem} for p in plugins]


def _problem(check: Any) -> str:
    from bench.errors import BenchError

    try:
        check()
    except BenchError as error:
        return str(error)
    return ""


def _gpu_names() -> str:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(names) or "none"
