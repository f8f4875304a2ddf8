"""``bench submit`` and ``bench check-submission``: records and code of one's own, for everybody's leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.errors import BenchError
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.submission.checks import Refusal, Submission
    from bench.workspace import Workspace


def submit(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder to make, as results/my_method.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="Tables of bench.toml, suites or datasets (default: every record).")
    ] = None,
    methods: options.Methods = None,
    profile: options.Profile = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Pack records and the code that made them into a folder of the repository, for a pull request.

    What bench check-submission would refuse is refused here, but for doing jobs again.
    """
    from bench.report.request import currency, read_records, records_of
    from bench.report.selection import superseded
    from bench.specs import parse_specs
    from bench.submission.packing import write_submission
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    records = read_records(workspace)
    labels = {str(spec) for spec in parse_specs(methods)} if methods else None
    old = {record.job.key for record in superseded(records, currency(workspace))}
    named = [record for name in names or [] for record in records_of(name, records, workspace, profile)]
    chosen = {
        record.job.key: record
        for record in (named if names else records)
        if record.job.key not in old
        and not record.job.tuning
        and profile in (None, record.job.profile)
        and (labels is None or record.job.label in labels)
    }
    if not chosen:
        raise BenchError(f"no records of that in {workspace.results}; bench status tells what there is")
    before = _submission(workspace.results, workspace)
    refused = [refusal for record in chosen.values() for refusal in before.refusals(record)]
    if refused:
        _tell_refused(refused)
        raise typer.Exit(1)
    codes = write_submission(list(chosen.values()), workspace, out)
    echo(f"{out}: {len(chosen)} records, the code of {len(codes)} plugins; try it:  bench check-submission {out}")


def check_submission(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What bench submit made.")],
    count: Annotated[int, typer.Option(min=1, help="How many jobs to do again, at least one of each method.")] = 3,
    seed: Annotated[int | None, typer.Option(help="Draws which (default: by chance).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "cpu",
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Check records and code of others: schema, code, versions, data, splits, scores, figures; some jobs done again.

    Exit code 1: it is refused, by the name of what is wrong. Code of others runs here: check what you would run.
    """
    import secrets

    from bench.execution.opening import open_executor
    from bench.submission.checks import Refusal
    from bench.submission.review import drawn, repeated
    from bench.workspace import open_workspace

    if not folder.is_dir():
        raise BenchError(f"{folder} is no folder; name one that bench submit made")
    submission = _submission(folder, open_workspace(config, data, folder))
    records, refused = submission.records()
    refused += [refusal for record in records for refusal in submission.refusals(record)]
    if not refused:
        echo(f"{len(records)} records: schema, code, versions, data, splits, scores and figures are right")
        seed = secrets.randbelow(2**32) if seed is None else seed
        chosen = drawn(records, count, seed)
        echo(f"doing {len(chosen)} of them again, drawn with --seed {seed}")
        with open_executor("local", None, device, workers=1) as executor:
            for record in chosen:
                for found in repeated(record, submission, executor):
                    if isinstance(found, Refusal):
                        refused.append(found)
                    else:
                        told = "every score the same" if found.same_scores else f"AUROC {found.difference:+.6f}"
                        echo(f"  {record.job.title}: {told}")
    if refused:
        _tell_refused(refused)
        raise typer.Exit(1)
    echo(f"accepted: {folder}")


def _submission(folder: Path, workspace: Workspace) -> Submission:
    from bench.execution.again import with_kept_code
    from bench.submission.checks import Submission

    return Submission(folder, workspace, lambda record: with_kept_code(record, workspace, folder))


def _tell_refused(refused: list[Refusal]) -> None:
    for refusal in refused:
        echo(f"refused  {refusal.check}  {refusal.of}: {refusal.reason}", err=True)
    echo(f"{len(refused)} refused; docs/submissions.md says what each check asks", err=True)
