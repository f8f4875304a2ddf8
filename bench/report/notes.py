"""What is said below figures: for whoever makes a table, and for whoever reads it in a paper."""

from __future__ import annotations


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
