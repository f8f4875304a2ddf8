"""``bench reproduce``, and the name that it had before."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.execution.again import Repetition
    from bench.record import Record
    from bench.workspace import Workspace


def reproduce(
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", help="Records' keys, or their beginnings.")],
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:N (default: the kind that a record was made on).")
    ] = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Do the jobs of records again and say whether the same scores come out, bit for bit. Nothing is written.

    A plugin that is no part of bench is used as it is kept with the records. Exit code 1: a figure does not come out.
    The AUROC must be the same, bit for bit, on the same kind of processor with the same code and libraries, and within
    0.005 elsewhere.
    """
    from bench.report.request import find_record
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    found = {record.job.key: record for record in (find_record(key, workspace) for key in keys)}
    repetitions = [_repeated(record, device, workspace) for record in found.values()]
    if len(repetitions) > 1:
        same = sum(each.same_scores for each in repetitions)
        echo(f"\n{same} of {len(repetitions)} records came out the same: every score, bit for bit")
    if not all(each.holds for each in repetitions):
        raise typer.Exit(1)


@functools.wraps(reproduce)
def rerun(**options: Any) -> None:
    echo("bench rerun is called bench reproduce now; the old name goes with 1.1", err=True)
    reproduce(**options)


def _repeated(record: Record, device: str | None, workspace: Workspace) -> Repetition:
    from bench.execution.again import again, with_kept_code
    from bench.execution.observers import Observer
    from bench.execution.opening import open_executor
    from bench.report.request import results_of
    from bench.specs import parse_spec

    job = record.job
    echo(f"{job.title}, profile {job.profile}; it took {record.seconds:.0f} s when recorded")
    then = with_kept_code(record, workspace, results_of(record, workspace))
    for plugin in (then.methods.find(job.method), then.datasets.find(parse_spec(job.dataset).name)):
        if plugin.code is not None:
            echo(f"  {plugin.kind} {plugin.name}: {plugin.source}")
    with open_executor("local", None, device or record.device, workers=1) as executor:
        repetition = again(record, then, executor, Observer())
    echo(_told(repetition))
    return repetition


def _told(repetition: Repetition) -> str:
    recorded, today = repetition.recorded, repetition.today
    lines = [f"  recorded  AUROC {recorded.metrics['auroc']!r}", f"  today     AUROC {today.metrics['auroc']!r}"]
    lines += [f"  other than then: {cause}" for cause in repetition.causes]
    if repetition.same_scores:
        lines.append("the same: every score, bit for bit")
    elif repetition.same_auroc:
        lines.append("the same AUROC, bit for bit; single scores differ")
    else:
        from bench.execution.again import ELSEWHERE

        within = "within" if abs(repetition.difference) <= ELSEWHERE else "not within"
        allowed = f"{within} {ELSEWHERE}" if repetition.causes else "asked is the same, bit for bit"
        lines.append(f"AUROC differs by {repetition.difference:+.6f}: {allowed}")
    return "\n".join(lines)
