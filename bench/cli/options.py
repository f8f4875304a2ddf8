"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

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
    Literal["auroc", "average_precision", "fpr_at_95_tpr"], typer.Option("--metric", help="Which figure.")
]
Tolerance = Annotated[
    float, typer.Option(min=0, help="How far an AUROC may be from the published one to count as reproduced.")
]
Selected = Annotated[str, typer.Argument(metavar="SUITE", help="A suite, a table of bench.toml, or a dataset.")]
