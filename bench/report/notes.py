"""What is said below figures, and how a spec is named: for whoever makes a table, and for who reads it in a paper."""

from __future__ import annotations

from bench.errors import BenchError
from bench.specs import parse_spec


class Note(str):
    """A note as the terminal shows it, with what a paper prints in its place."""

    paper: str
    """Empty for what concerns the records and not their figures: a paper does not print it."""

    def __new__(cls, text: str, paper: str | None = None) -> Note:
        """``paper`` is the text itself where none is given."""
        note = super().__new__(cls, text)
        note.paper = text if paper is None else paper
        return note

    def of(self, what: str) -> Note:
        """The note with what it is about before it."""
        return Note(f"{what}: {self}", self.paper and f"{what}: {self.paper}")


def noted(text: str) -> Note:
    """A note; plain text is printed everywhere as it is."""
    return text if isinstance(text, Note) else Note(text)


def in_words(name: str) -> str:
    """A spec as a paper writes it: ``shared_ae(alpha=300.0,variant='two_ede')`` as shared_ae (alpha 300, variant
    two_ede). Other names are left as they are."""
    for end in (len(name), *(place for place, letter in reversed(list(enumerate(name))) if letter == " ")):
        try:  # what follows a blank is a mark, or which figure of the method it is
            spec = parse_spec(name[:end])
        except BenchError:
            continue
        settings = ", ".join(f"{key} {_value(value)}" for key, value in spec.parameters.items())
        return (f"{spec.name} ({settings})" if settings else name[:end]) + name[end:]
    return name


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return " and ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
