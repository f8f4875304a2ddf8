"""Text for a terminal: names come from folders, plugins and records, and what they hold must neither steer the terminal
nor pass for markup."""

from __future__ import annotations

import sys
import unicodedata

_LAYOUT = "\n\t"


def printable(text: str) -> str:
    """The text with whatever would steer a terminal shown as its escape: ``\\x1b[31m`` is eight characters."""
    if text.isprintable():
        return text
    return "".join(each if each in _LAYOUT or not _steers(each) else _escaped(each) for each in text)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text to stdout, or to stderr, at once."""
    stream = sys.stderr if err else sys.stdout
    stream.write(printable(text) + ("\n" if nl else ""))
    stream.flush()


def _steers(character: str) -> bool:
    """Control characters, those that turn the direction of writing, and halves of characters."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
