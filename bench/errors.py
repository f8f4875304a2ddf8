"""What went wrong in the user's terms: what was asked, what exists, what to type next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bench.terminal import echo


class BenchError(Exception):
    """An error that is the user's to mend; the command line prints it without a traceback and exits with 2."""


class DataMissing(BenchError):
    """The files of a dataset are not there, or not those that were published."""


class PluginUnavailable(BenchError):
    """A plugin was found but cannot be used; the message holds the reason."""


class RecordUnreadable(BenchError):
    """What should be a record, or its scores, is none; the message names it and says what to do."""


def unknown(kind: str, asked: str, known: Iterable[str], hint: str = "") -> BenchError:
    """The error for a name that does not exist: the nearest names first, else all of them."""
    names = sorted(set(known))
    near = difflib.get_close_matches(asked, names, n=3, cutoff=0.6)
    known_names = f"known: {', '.join(names)}" if names else "none exists"
    listed = f"did you mean {' or '.join(near)}?" if near else known_names
    return BenchError(f"no {kind} called {asked!r}; {listed}" + (f" ({hint})" if hint else ""))


def warn(error: BenchError) -> None:
    """Name on stderr what is wrong but hinders nothing."""
    echo(f"warning: {error}", err=True)
