"""``bench rerun``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.execution.again import Repetition


def rerun(
    key: Annotated[str, typer.Argument(help="A record's key, or its beginning.")],
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:N (default: the kind that the record was made on).")
    ] = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Do the job of one record again and say whether the same figures come out. Nothing is written.

    Exit code 1: they do not. The AUROC must be the same, bit for bit, on the same kind of processor with the same code
    and libraries, and within 0.005 elsewhere.
    """
    from bench.execution.again import again
    from bench.execution.observers import Observer
    from bench.execution.opening import open_executor
    from bench.report.request import find_record
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    record = find_record(key, workspace)
    echo(f"{record.job.title}, profile {record.job.profile}; it took {record.seconds:.0f} s when recorded")
    with open_executor("local", None, device or record.device, workers=1) as executor:
        repetition = again(record, workspace, executor, Observer())
    echo(_told(repetition))
    if not repetition.holds:
        raise typer.Exit(1)


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
