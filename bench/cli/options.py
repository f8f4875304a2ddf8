"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from bench.errors import BenchError

N = TypeVar("N", int, float)

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A bench.toml to lay over the default one.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder with the datasets (else $BENCH_DATA, bench.toml, user cache)."),
]
Results = Annotated[
    Path | None, typer.Option("--results", metavar="DIR", help="Folder of the records (default: results/runs).")
]
Methods = Annotated[str | None, typer.Option("--methods", help="These alone: specs or groups, comma-separated.")]
Classes = Annotated[
    str | None, typer.Option("--classes", help="Records of these normal classes alone, by name or number, e.g. 0,8.")
]
Seeds = Annotated[
    str | None, typer.Option("--seeds", help="Records of these seeds alone: which (0,1,2) or how many (3).")
]
Profile = Annotated[str | None, typer.Option("--profile", help="Set of parameters: see bench list profiles.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Metric = Annotated[
    Literal[
        "auroc",
        "average_precision",
        "fpr_at_95_tpr",
        "f1_max",
        "pixel_auroc",
        "pixel_average_precision",
        "aupro_30",
        "aupro_05",
        "aupimo",
    ],
    typer.Option("--metric", help="Which figure; those of pixels where score maps were held against masks."),
]
Tolerance = Annotated[
    float, typer.Option(min=0, help="How far an AUROC may be from the published one to count as reproduced.")
]
Selected = Annotated[str, typer.Argument(metavar="SUITE", help="A suite, a table of bench.toml, or a dataset.")]


def numbers(option: str, text: str | None, kind: Callable[[str], N]) -> Sequence[N]:
    """The numbers in a comma-separated list; none where nothing was given. Raises BenchError, naming the option."""
    try:
        return [kind(piece) for piece in (text or "").split(",") if piece.strip()]
    except ValueError:
        raise BenchError(
            f"cannot read {option} {text!r}; write numbers, e.g. {option} {kind('1')},{kind('2')}"
        ) from None
