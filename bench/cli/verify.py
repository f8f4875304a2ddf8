"""``bench verify``."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.record import Record
    from bench.report.causes import Explanation
    from bench.report.claims import Claim


def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Tables with published figures (default: all).")] = None,
    tolerance: options.Tolerance = 0.01,
    profile: options.Profile = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Then say why figures differ: which experiment comes nearer to them.")
    ] = False,
    causes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The experiments (default: results/causes.toml).")
    ] = None,
    as_json: options.Json = False,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Hold the records against the published figures: what reproduces, what does not, what cannot be compared and why.

    With --explain, every figure that differs gets the experiment whose records come nearest to it, or "unexplained".
    Exit code 1: something that can be compared does not reproduce.
    """
    from bench.report.causes import explanations, read_causes
    from bench.report.claims import claims
    from bench.report.narrowing import Wanted
    from bench.report.request import REFERENCE, read_records
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    file = causes or REFERENCE.parent / "causes.toml"
    experiments = read_causes(file) if explain else []
    found = list(claims(read_records(workspace), workspace, names or [], Wanted(profile=profile)))
    why = explanations(found, experiments, _records_beside(file), workspace, tolerance) if explain else []
    if as_json:
        echo(_as_json(found, why, tolerance))
    else:
        echo(_as_text(found, tolerance))
        if explain:
            echo("\n" + _explained(why, tolerance))
    if any(claim.verdict(tolerance) == "differs" for claim in found):
        raise typer.Exit(1)


def _records_beside(file: Path) -> Callable[[str], list[Record]]:
    """Reads the records of a results folder that lies beside a file, once each."""
    from bench.store import Store

    return functools.cache(lambda results: Store(file.parent / results).records()[0])


def _as_text(found: Sequence[Claim], tolerance: float) -> str:
    from collections import Counter

    from tabulate import tabulate

    compared = [claim for claim in found if claim.difference is not None]
    rows = [
        (
            claim.published.table,
            claim.published.suite,
            claim.published.normal_class,
            claim.shown,
            f"{claim.cell.mean:.3f} ({len(claim.cell.values)})",
            f"{claim.published.auroc:.3f}" + ("" if claim.published.kind == "printed" else " ‡"),
            _signed(claim.difference),
            claim.verdict(tolerance),
        )
        for claim in compared
    ]
    headers = ["table", "suite", "class", "method", "AUROC (seeds)", "published", "Δ", f"within {tolerance:g}"]
    lines = [tabulate(rows, headers=headers, disable_numparse=True), ""] if rows else []
    verdicts = Counter(claim.verdict(tolerance) for claim in found)
    lines.append(", ".join(f"{verdicts[each]} {each}" for each in ("reproduced", "differs", "not comparable")))
    reasons = Counter(claim.reason for claim in found if claim.reason)
    lines += [f"  {count:4} not comparable: {reason}" for reason, count in reasons.most_common()]
    if any(claim.published.kind != "printed" for claim in compared):
        lines.append("‡ not in the paper's own text; bench table says where it is from")
    return "\n".join(lines)


def _explained(why: Sequence[Explanation], tolerance: float) -> str:
    from collections import Counter

    from tabulate import tabulate

    rows = [
        (
            each.claim.published.table,
            each.claim.published.suite,
            each.claim.published.normal_class,
            each.claim.shown,
            _signed(each.claim.difference),
            each.verdict(tolerance),
            each.experiment.cause if each.experiment else "",
            each.experiment.says if each.experiment else "",
            f"{each.auroc:.3f}" if each.experiment else "",
            _signed(each.left) if each.experiment else "",
        )
        for each in why
    ]
    headers = ["table", "suite", "class", "method", "Δ", "", "nearest by", "which is", "AUROC there", "Δ there"]
    counted = Counter(each.verdict(tolerance) for each in why)
    causes = Counter(
        each.experiment.cause for each in why if each.experiment and each.verdict(tolerance) != "unexplained"
    )
    lines = [tabulate(rows, headers=headers, disable_numparse=True), ""] if rows else []
    lines.append(
        f"of {len(why)} that differ by more than {tolerance:g}: "
        + ", ".join(f"{counted[verdict]} {verdict}" for verdict in ("explained", "in part", "unexplained"))
    )
    lines += [f"  {count:4} by {cause}" for cause, count in causes.most_common()]
    return "\n".join(lines)


def _signed(difference: float | None) -> str:
    return "" if difference is None else f"{difference:+.3f}".replace("-", "−")


def _as_json(found: Sequence[Claim], why: Sequence[Explanation], tolerance: float) -> str:
    facts = [
        {
            **vars(claim.published),
            "label": claim.label,
            "reproduced": claim.cell.mean,
            "seeds": len(claim.cell.values),
            "difference": claim.difference,
            "verdict": claim.verdict(tolerance),
            "reason": claim.reason,
        }
        for claim in found
    ]
    reasons = [
        {
            **vars(each.claim.published),
            "label": each.claim.label,
            "verdict": each.verdict(tolerance),
            "experiment": each.experiment.model_dump() if each.experiment else None,
            "auroc_there": each.auroc if each.experiment else None,
        }
        for each in why
    ]
    told = {"tolerance": tolerance, "claims": facts, **({"explanations": reasons} if why else {})}
    return json.dumps(told, indent=1, ensure_ascii=False)
