"""``bench list``, ``show`` and ``doctor``: what there is, and how it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import options
from bench.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.registry import Kind


Listed = Literal["methods", "datasets", "protocols", "criteria", "suites", "profiles", "tables"]

KINDS: dict[str, Kind] = {
    "methods": "method",
    "datasets": "dataset",
    "protocols": "protocol",
    "criteria": "criterion",
}
"""Of what is listed, the plugins."""

SUMMARIES: dict[Listed, str] = {
    "methods": "detectors, for --methods; bench list methods NAME: the parameters of one",
    "datasets": "labelled images, for --dataset; bench list datasets NAME: the parameters of one",
    "protocols": "ways to split a dataset into training and test images, for --protocol",
    "criteria": "figures that compare detectors without a label, for --by",
    "suites": "named grids of jobs, for --suite",
    "profiles": "sets of parameters, for --profile",
    "tables": "what bench table prints beside suites and datasets",
}


def list_names(
    what: Annotated[
        Listed | None, typer.Argument(help="What to list (default: what can be listed).", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Argument(help="One method or dataset (a spec), for its parameters.", show_default=False)
    ] = None,
    as_json: options.Json = False,
    config: options.Config = None,
) -> None:
    """List the names that other commands take, each with its summary; or the parameters of one method or dataset."""
    if what is None:
        rows = [{"name": each, "summary": summary} for each, summary in SUMMARIES.items()]
    else:
        rows = _listed(what, config) if name is None else _parameters(what, name, config)
    if as_json:
        echo(json.dumps(rows, indent=1))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        note = f"UNAVAILABLE: {row['problem']}" if row.get("problem") else row["summary"]
        echo(f"{row['name']:{width}}  {note}")


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
        echo(record.to_json(), nl=False)
        return
    echo(f"{record.job.title}: {record.status}\nkey {record.job.key}")
    facts = json.loads(record.to_json())
    for section in ("job", "split", "metrics", "cost", "parameters", "ledger", "provenance"):
        if facts[section]:
            echo(f"\n{section}")
            for name, value in facts[section].items():
                echo(f"  {name}: {value}")
    if record.epochs:
        echo(f"\nepochs: {len(record.epochs)}, the last: {record.epochs[-1]}")
    if record.oracle is not None:
        echo(f"\noracle (the best epoch or candidate by the test labels): AUROC {record.oracle:.4f}")
    for candidate in record.oracle_candidates:
        echo(f"  oracle candidate {candidate['parameters']}: AUROC {candidate['auroc']:.4f}")
    for attempt in record.attempts:
        echo(f"\nearlier attempt: {attempt['status']}: {attempt.get('message', '')}")
    for name, value in (record.error or {}).items():
        echo(f"\n{name}:\n{value}")


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
    echo(f"bench {facts['bench']}, Python {facts['python']}, {facts['cpu']}, {facts['cores']} cores")
    echo("  " + ", ".join(f"{name} {version}" for name, version in facts["libraries"].items()))
    for line in _gpus():
        echo(f"  {line}")
    broken = 0
    echo("\nplugins")
    for registry in (workspace.methods, workspace.datasets):
        for name in registry.names():
            problem = _problem(lambda registry=registry, name=name: registry.load(name))
            broken += bool(problem)
            echo(f"  {registry.kind} {name}: {problem or 'ok'}")
    echo(f"\ndatasets in {workspace.data}")
    for name in workspace.datasets.names():
        if not _problem(lambda name=name: workspace.datasets.resolve(Spec(name))):
            absent = _problem(lambda name=name: workspace.source(Spec(name)).source_files(workspace.data))
            echo(f"  {name}: {'not there (bench data list tells more)' if absent else 'there'}")
    echo("\ntables and labels of bench.toml")
    tables = (None, *workspace.config.tables.values())
    named = dict.fromkeys(_problem(lambda table=table: workspace.config.shown(table)) for table in tables)
    wrong = [*workspace.config.unusable.values(), *filter(None, named)]
    broken += len(wrong)
    echo("\n".join(f"  {problem}" for problem in wrong) or "  ok")
    problem = _problem(Store(workspace.results).require_writable)
    broken += bool(problem)
    echo(f"\nresults folder {workspace.results}: {problem or 'can be written'}")
    if broken:
        echo(f"\n{broken} {'thing is' if broken == 1 else 'things are'} broken", err=True)
        raise typer.Exit(1)


def _listed(what: Listed, config_file: Path | None) -> list[dict[str, Any]]:
    if what in ("suites", "profiles", "tables"):
        from bench.config import load_config

        config = load_config(config_file)
        if what == "tables":
            usable = [(name, table.title, "") for name, table in config.tables.items()]
            rows = [*usable, *((name, "", why) for name, why in config.unusable.items())]
            return [{"name": name, "summary": title, "problem": why} for name, title, why in rows]
        named = config.suites if what == "suites" else config.profiles
        return [{"name": name, "summary": each.summary} for name, each in named.items()]
    from bench.config_files import plugin_folders
    from bench.registry import Registry

    registry = Registry(KINDS[what], plugin_folders(what, config_file))
    plugins = [registry.find(name) for name in registry.names()]
    return [{"name": p.name, "summary": p.summary, "source": p.source, "problem": p.problem} for p in plugins]


def _parameters(what: Listed, text: str, config_file: Path | None) -> list[dict[str, Any]]:
    """The parameters of a plugin: type and range, and the default."""
    import dataclasses

    from bench.config_files import plugin_folders
    from bench.errors import BenchError
    from bench.registry import Registry
    from bench.specs import parse_spec

    if what not in KINDS:
        raise BenchError(f"bench list {what} takes no name; {', '.join(KINDS)} have parameters")
    spec = parse_spec(text)
    registry = Registry(KINDS[what], plugin_folders(what, config_file))
    rows = []
    for name, field in registry.fields(spec.name, spec.parameters).items():
        default = "required" if field.default is dataclasses.MISSING else f"{field.default!r}"
        rows.append({"name": name, "type": field.described, "default": default})
    width = max((len(row["default"]) for row in rows), default=0)
    return [{**row, "summary": f"{row['default']:{width}}  {row['type']}".rstrip()} for row in rows]


def _problem(check: Any) -> str:
    from bench.errors import BenchError

    try:
        check()
    except BenchError as error:
        return str(error)
    return ""


def _gpus() -> Iterator[str]:
    """A line for each GPU that is visible here, and one on what lets jobs share them."""
    from bench.device import cards, gpus, mps_runs

    identities = gpus()
    if not identities:
        yield "GPUs: none"
        return
    for card in cards(identities):
        free = f"{card.free / 1e9:.1f} of {card.total / 1e9:.1f} GB free"
        alone = ", one process at a time" if card.exclusive else ""
        yield f"GPU {card.identity}: {card.problem or f'{card.name}, {free}{alone}'}"
    runs = "runs" if mps_runs() else "does not run; several jobs a GPU are faster with it: docs/clusters.md"
    yield f"MPS, which lets jobs compute on a GPU at the same time, {runs}"
