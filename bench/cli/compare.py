"""``bench compare``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.errors import BenchError
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.record import Record
    from bench.report.statistics.changes import RecordComparison


def compare(
    first: Annotated[
        str | None, typer.Argument(help="A results folder, or a profile in the results folder.", show_default=False)
    ] = None,
    second: Annotated[str | None, typer.Argument(help="What to hold against it.", show_default=False)] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="This method alone; without FIRST and SECOND what its older code made against what today's did.",
        ),
    ] = None,
    metric: options.Metric = "auroc",
    as_json: options.Json = False,
    results: options.Results = None,
    config: options.Config = None,
) -> None:
    """Hold two sets of records against each other: differences with intervals, and what else changed."""
    from bench.report.statistics.changes import compare_records

    if first is not None and second is not None:
        one, other = (_of(method, _records(name, results, config)) for name in (first, second))
        found = compare_records(one, other, metric)
    elif first is None and method is not None:
        first, second = "older code", "today's code"
        found = compare_records(*_by_age(method, results, config), metric, same_setting=True)
    else:
        raise BenchError("name two folders or profiles, or --method NAME: its older code against today's")
    if as_json:
        facts = dataclasses.asdict(found)
        for each, paired in zip(facts["paired"], found.paired, strict=True):
            each |= {"mean": paired.mean, "interval": paired.interval}
        echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    echo(_as_text(found, first, second))


def _records(name: str, results: Path | None, config: Path | None) -> list[Record]:
    """The records of a folder, or those of a profile in the results folder."""
    from bench.store import Store
    from bench.workspace import open_workspace

    if Path(name).is_dir():
        return Store(Path(name)).records()[0]
    workspace = open_workspace(config, None, results)
    if name not in workspace.config.profiles:
        profiles = ", ".join(workspace.config.profiles)
        raise BenchError(f"{name!r} is neither a folder nor a profile; profiles: {profiles}")
    return [record for record in Store(workspace.results).records()[0] if record.job.profile == name]


def _of(method: str | None, records: list[Record]) -> list[Record]:
    return [record for record in records if method in (None, record.job.method)]


def _by_age(method: str, results: Path | None, config: Path | None) -> tuple[list[Record], list[Record]]:
    """A method's records that older code made, and those of today's."""
    from bench.report.request import currency, read_records
    from bench.workspace import open_workspace

    workspace = open_workspace(config, None, results)
    workspace.methods.find(method)
    is_current = currency(workspace)
    records = _of(method, read_records(workspace))
    older, todays = ([r for r in records if is_current(r) == today] for today in (False, True))
    if not older or not todays:
        raise BenchError(
            f"there is nothing to compare: {len(older)} records of {method} are by older code and {len(todays)} by "
            "today's; bench run makes those of today's code"
        )
    return older, todays


def _as_text(found: RecordComparison, first: str, second: str) -> str:
    from tabulate import tabulate

    rows = []
    for paired in found.paired:
        interval = paired.interval
        shown = f"{_signed(interval[0])} to {_signed(interval[1])}" if interval else "one pair alone"
        rows.append((paired.label, len(paired.differences), _signed(paired.mean), shown))
    pairs = sum(len(paired.differences) for paired in found.paired)
    lines = [
        f"{second} − {first}, {found.metric}, over pairs of class × seed",
        "",
        tabulate(rows, headers=["method", "pairs", "mean", "95 % interval"], disable_numparse=True),
        "",
        f"{found.identical} of {pairs} pairs are the same to the last bit",
    ]
    if any(found.alone):
        lines.append(f"without a counterpart: {found.alone[0]} of {first}, {found.alone[1]} of {second}")
    if found.other_splits:
        lines.append(f"left out: {found.other_splits} pairs that were made on different images")
    for name, changes in found.changes.items():
        lines += [f"\nchanged, {name}:", *(f"  {change}" for change in changes)]
    lines.append("\nclasses of one dataset are not independent of each other; the intervals take them as if they were")
    return "\n".join(lines)


def _signed(difference: float) -> str:
    """A difference in its significant digits, however small it is."""
    return f"{difference:+.3g}" if difference else "0"
