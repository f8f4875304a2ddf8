"""Arguments of Python functions as the words that the command line takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bench.specs import Value

N = TypeVar("N", int, float)

File = str | Path
Names = str | Sequence[str]
"""One text, as on the command line, or several names."""
Classes = str | int | Sequence[str | int]
Seeds = str | int | Sequence[int]
"""How many, or which."""


def path(file: File | None) -> Path | None:
    """A path, whatever names it."""
    return None if file is None else Path(file)


def names(given: Names | None) -> str | None:
    """Specs or groups with commas between them."""
    return given if given is None or isinstance(given, str) else ",".join(given)


def classes(given: Classes | None) -> str | None:
    """Classes with commas between them."""
    return None if given is None else ",".join(map(str, several(given)))


def seeds(given: Seeds | None) -> str | None:
    """How many seeds, or which with commas behind each."""
    if given is None or isinstance(given, str | int):
        return None if given is None else str(given)
    return "".join(f"{seed}," for seed in given)


def overrides(parameters: Mapping[str, Value]) -> tuple[str, ...]:
    """``method.parameter=value`` each."""
    return tuple(f"{name}={value!r}" for name, value in parameters.items())


def several_or_none(given: N | Sequence[N] | None) -> Sequence[N]:
    """What was given as one or as several; nothing where nothing was."""
    return () if given is None else given if isinstance(given, Sequence) else [given]


def several(given: str | int | Iterable[str | int]) -> list[str | int]:
    """What was given as one or as several."""
    return [given] if isinstance(given, str | int) else list(given)
