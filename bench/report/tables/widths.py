"""How wide text is in LaTeX, a little generously: it decides what fits into a column before LaTeX has seen it.

The widths are those of Computer Modern, in which text is wider than in the typefaces of most journals.
"""

from __future__ import annotations

from collections.abc import Sequence

SMALLEST = 7
"""Size of the smallest text in a table, in points."""

_EM = {7: 1.165, 8: 1.085, 9: 1.05}
"""Letters of small sizes are wider for their height, by so much."""

_LETTERS = {
    0.29: "!',.:;[]`|fijl",
    0.34: " ",
    0.39: "-I()rst",
    0.45: "cez†‡§",  # the signs are raised, and so smaller
    0.5: "0123456789/*$–ago",
    0.56: 'bdhknpquvxyS?J"',
    0.92: "mMW%#",
}
_WIDTH = {letter: width for width, letters in _LETTERS.items() for letter in letters}
_OTHER = 0.78
"""Ems of capitals and signs."""

_BOLD = 1.14


def width(text: str, size: int, bold: bool = False) -> float:
    """The width of a text in points."""
    return sum(_WIDTH.get(letter, _OTHER) for letter in text) * _EM[size] * size * (_BOLD if bold else 1)


def lines(text: str, size: int, limit: float) -> list[str]:
    """A text in lines that are no wider than the limit, broken between words; a longer word is a line of its own."""
    found: list[str] = []
    for word in text.split():
        if found and width(f"{found[-1]} {word}", size) <= limit:
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found or [""]


def packed(widths: Sequence[float], limit: float) -> list[int]:
    """How many of the columns, from the left, stand in each of as few blocks as fit the limit, as alike as can be."""
    fewest = len(filled(widths, limit))
    narrower = sorted({sum(widths[a:b]) for a in range(len(widths)) for b in range(a + 1, len(widths) + 1)})
    for each in narrower:
        if each <= limit and len(blocks := filled(widths, each)) == fewest and max(widths) <= each:
            return blocks
    return filled(widths, limit)


def filled(widths: Sequence[float], limit: float) -> list[int]:
    """How many are in each of the blocks that are filled in turn; what is beyond the limit is a block of its own."""
    blocks: list[int] = []
    room = 0.0
    for each in widths:
        if blocks and each <= room:
            blocks[-1] += 1
            room -= each
        else:
            blocks.append(1)
            room = limit - each
    return blocks
