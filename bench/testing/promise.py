"""What a check is, how it says that a promise is not kept, and the comparisons that many checks make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.testing.subject import Subject

TOLERANCE = 1e-4
"""Rounding that two scores of one image may differ by, as a share of the range of the scores."""


class ConformanceError(AssertionError):
    """A promise that the method does not keep: what was seen and what to change."""


class NotApplicable(Exception):
    """The promise is not one that this method makes."""


@dataclass(frozen=True)
class Check:
    """A promise and the function that checks it; those that it needs say nothing new where they fail."""

    name: str
    promise: str
    needs: Sequence[Check]
    function: Callable[[Subject], None]

    def __call__(self, subject: Subject) -> None:
        self.function(subject)


CHECKS: dict[str, Check] = {}
"""Every check by its name, those that others need first."""


def check(*needs: Check) -> Callable[[Callable[[Subject], None]], Check]:
    """Declare a function as a check of its name, whose docstring's first line is what is promised."""

    def declare(function: Callable[[Subject], None]) -> Check:
        promise = (function.__doc__ or "").partition("\n")[0]
        return CHECKS.setdefault(function.__name__, Check(function.__name__, promise, needs, function))

    return declare


def require_scores(found: NDArray[Any], n: int, of: str = "", finite: bool = True) -> None:
    """Raise where what was found is no array of n floats, all finite; ``of`` says of which images."""
    if found.shape != (n,) or not np.issubdtype(found.dtype, np.floating):
        raise ConformanceError(
            f"the scores{of} are {found.dtype} {found.shape}; return an array of floats of shape ({n},)"
        )
    bad = int((~np.isfinite(found)).sum())
    if finite and bad:
        raise ConformanceError(
            f"{bad} of the {n} scores{of} are not finite; look for divisions by 0 and logarithms of 0 in score"
        )


def require_same(found: NDArray[Any], wanted: NDArray[Any], when: str, what: str = "scores") -> None:
    """Raise where scores (n,), or other rows (n, …), differ by more than rounding.

    ``when`` says what was done between them and what to change, ``what`` what is compared.
    """
    allowed = TOLERANCE * float(np.ptp(wanted))
    if found.shape != wanted.shape:
        differing = np.ones(len(wanted), bool)
    else:
        differing = ~(np.abs(found - wanted) <= allowed).reshape(len(wanted), -1).all(axis=1)
    if differing.any():
        raise ConformanceError(f"{differing.sum()} of {len(wanted)} images have other {what} {when}")
