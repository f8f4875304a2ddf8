"""No fault: it learns no weights."""

from bench.method import method

from ._base import Centroid


@method(version="1")
class KeepsEveryPromise(Centroid):
    """A centroid."""
