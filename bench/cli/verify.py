"""``bench verify``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.claims import Claim


def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Tables with published figures (default: all).")] = None,
    tolerance: options.Tolerance = 0.01,
    profile: options.Profile = None,
    as_json: options.Json = False,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Hold the records against the published figures: what reproduces, what does not, what cannot be compared and why.

    Exit code 1: something that can be compared does not reproduce.
    """
    from bench.report.claims import claims
    from bench.report.request import read_records
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    found = list(claims(read_records(workspace), workspace, names or [], profile))
    echo(_as_json(found, tolerance) if as_json else _as_text(found, tolerance))
    if any(claim.verdict(tolerance) == "differs" for claim in found):
        raise typer.Exit(1)


def _as_text(found: Sequence[Claim], tolerance: float) -> str:
    from collections import Counter

    from tabulate import tabulate

    compared = [claim for claim in found if claim.difference is not None]
    rows = [
        (
            claim.figure.table,
            claim.figure.suite,
            claim.figure.normal_class,
            claim.label,
            f"{claim.cell.mean:.3f} ({len(claim.cell.values)})",
            f"{claim.figure.auroc:.3f}" + ("" if claim.figure.kind == "printed" else " ‡"),
            f"{claim.difference:+.3f}".replace("-", "−"),
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
    if any(claim.figure.kind != "printed" for claim in compared):
        lines.append("‡ not in the paper's own text; bench table says where it is from")
    return "\n".join(lines)


def _as_json(found: Sequence[Claim], tolerance: float) -> str:
    facts = [
        {
            **vars(claim.figure),
            "label": claim.label,
            "reproduced": claim.cell.mean,
            "seeds": len(claim.cell.values),
            "difference": claim.difference,
            "verdict": claim.verdict(tolerance),
            "reason": claim.reason,
        }
        for claim in found
    ]
    return json.dumps({"tolerance": tolerance, "claims": facts}, indent=1, ensure_ascii=False)
