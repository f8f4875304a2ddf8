"""``bench fit`` and ``bench score``: a detector for images of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options
from bench.errors import BenchError
from bench.terminal import echo

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def fit(
    spec: Annotated[str, typer.Argument(help='A method with its parameters, e.g. "ocsvm(nu=0.05)".')],
    folder: Annotated[Path, typer.Argument(help="Folder of normal pictures.")],
    save: Annotated[Path, typer.Option(metavar="MODEL", help="The file to write.")],
    size: Annotated[int, typer.Option(min=1, help="Pixels along a side that the pictures are brought to.")] = 64,
    profile: options.Profile = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the method's randomness.")] = 0,
    max_train: Annotated[
        int | None, typer.Option(min=1, help="Use at most N pictures (default: the profile's number).")
    ] = None,
    device: Device = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    config: options.Config = None,
) -> None:
    """Fit a method on a folder of normal pictures and save it as one file, for bench score.

    Exit code 1: some pictures could not be read (each is named); the others were taken.
    """
    from bench.api.images import training_pictures
    from bench.api.model import fit as fitted
    from bench.api.model_file import require_writable

    require_writable(save)
    found = training_pictures(folder, size)
    model = fitted(
        spec,
        found.images,
        profile=profile,
        seed=seed,
        max_train=max_train,
        device=device,
        quiet=quiet,
        config=config,
    )
    model.save(save)
    echo(f"{save}: {model.card.describe()}")
    if found.broken:
        raise typer.Exit(1)


def score(
    model: Annotated[Path, typer.Argument(help="A file that bench fit wrote. Scoring runs it: take it only on trust.")],
    folder: Annotated[Path, typer.Argument(help="Folder of pictures; those in folders below it count too.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to a file, not to stdout.")] = None,
    maps: Annotated[
        Path | None,
        typer.Option("--maps", metavar="DIR", help="Also write a heat map of each picture, where the method has one."),
    ] = None,
    device: Device = "auto",
    config: options.Config = None,
) -> None:
    """Score a folder of pictures as CSV: path and score, larger = more anomalous, in the order of the paths.

    Exit code 1: some pictures could not be read (each is named); the others were scored.
    """
    from bench.api.model import load_model
    from bench.files import write_whole

    loaded = load_model(model, device=device, config=config)
    scored = loaded.score(folder)
    text = scored.csv()
    if out is None:
        echo(text, nl=False)
    else:
        try:
            write_whole(out, text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise BenchError(f"cannot write {out}: {error.strerror or error}; name another file with --out") from error
        echo(f"{out}: {len(scored.paths)} scores")
    if maps is not None:
        written = loaded.maps_of(folder).write(maps)
        echo(f"{maps}: {len(written)} heat maps", err=True)
    if scored.broken:
        raise typer.Exit(1)
