"""``bench choose``: which detector for a folder of normal pictures, without a single defect."""

from __future__ import annotations

import shlex
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli import options
from bench.cli.tune import Bootstrap, HeldOut, Repeats
from bench.execution.failures import failures
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.api.choosing import Advice

TRUST = (
    "how far to trust it: in the study of docs/choosing.md the method that others agree with most lost 0.023 in test "
    "AUROC to the best one, a draw by lot 0.042, always knn 0.025, and what all criteria together take 0.035, which is "
    "not surely less than a draw; a few pictures of defects tell more"
)


def choose(
    folder: Annotated[Path, typer.Argument(help="Folder of normal pictures; no defect is needed, nor looked at.")],
    methods: Annotated[
        str, typer.Option(help='Specs or groups to choose among, e.g. "pca,knn,vae(latent=8)".')
    ] = "all,controls",
    size: Annotated[int, typer.Option(min=1, help="Pixels along a side that the pictures are brought to.")] = 64,
    repeats: Repeats = 3,
    held_out: HeldOut = 0.2,
    bootstrap: Bootstrap = False,
    profile: options.Profile = None,
    max_train: Annotated[int | None, typer.Option(min=2, help="Use at most so many pictures.")] = None,
    workers: Annotated[int | None, typer.Option(help="Jobs at a time, at most.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds that a job may take.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress, only the ranking.")] = False,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Rank methods on normal pictures of your own by every criterion that needs no label, and recommend one.

    Each method is fitted several times on a part of the pictures; stopped at any time, the same command goes on. Exit
    code 1: some fits failed (each is named); the others were ranked.
    """
    from bench.api.choosing import advise
    from bench.execution.opening import open_executor
    from bench.execution.run import Options
    from bench.execution.tuning import Way
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    way = Way(repeats, held_out, bootstrap)
    show: Literal["progress", "nothing"] = "nothing" if quiet else "progress"
    with open_executor(device=device, workers=workers) as places:
        given = Options(timeout=timeout)
        advice = advise(folder, methods, size, profile, max_train, way, workspace, places, given, show)
    for each in failures(advice.result.failed):
        echo(f"  {each}", err=True)
    if advice.result.signal is not None:
        echo(f"\nstopped: {advice.result.missing} fits are left; the same command goes on with them", err=True)
        raise typer.Exit(128 + advice.result.signal)
    _print(advice)
    best = advice.recommended
    words = ["bench", "fit", best, str(folder), "--size", str(size)]
    words += ["--profile", profile] if profile else []
    words += ["--max-train", str(max_train)] if max_train else []
    echo(f"\nfit it on all of the pictures:\n  {shlex.join([*words, '--save', 'detector.model'])}")
    if advice.result.failed or advice.result.missing:
        raise typer.Exit(1)


def _print(advice: Advice) -> None:
    from tabulate import tabulate

    from bench.api.choosing import LEADING

    found, criteria = advice.recommendation, list(advice.figures)
    rows = [
        [
            label,
            f"{found.place[label]:.2f}",
            f"{found.first[label]:.0%}",
            *(_figure(advice.figures[criterion].get(label)) for criterion in criteria),
            f"{advice.costs[label].fit_seconds:.1f}",
            f"{1000 * advice.costs[label].score_seconds:.2f}",
        ]
        for label in found.order
    ]
    arrows = {"lower": "↓", "higher": "↑"}
    names = [f"{criterion.spec} {arrows[criterion.better]}" for criterion in criteria]
    head = ["method", "place ↓", "first", *names, "fit s", "ms/image"]
    echo(tabulate(rows, headers=head, disable_numparse=True, colalign=("left", *["right"] * (len(head) - 1))))
    echo(
        "\nplace: the share of the other methods that criteria find better, on average; first: how often it is best "
        "where criteria and fits are drawn anew"
    )
    (best, *others), leading = found.order, advice.leading
    nearest = max(others, key=lambda label: found.first[label], default=None)
    beside = f", {nearest} in {found.first[nearest]:.0%}" if nearest is not None else ""
    together = f"{best}, first in {found.first[best]:.0%} of the resamplings{beside}"
    if leading:
        ranked = [f"{label} {figure:.2f}" for label, figure in leading.items()]
        echo(f"\nrecommended: {advice.recommended}, with which the others agree most: {LEADING} {', '.join(ranked)}")
        echo(f"by all criteria together: {together}")
    else:
        echo(f"\nrecommended by all criteria together, as {LEADING} says nothing here: {together}")
    if found.agreement is not None:
        echo(f"how far the criteria agree: Kendall's W is {found.agreement:.2f} (1: on everything, 0: on nothing)")
    echo(TRUST)


def _figure(figures: object) -> str:
    return f"{statistics.median(figures):.3g}" if isinstance(figures, list) else "–"
