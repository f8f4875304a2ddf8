"""No fault: it trains in the harness's loop."""

from bench.method import method

from ._compressed import Compressed


@method(version="1")
class KeepsEveryPromiseInSteps(Compressed):
    """A network."""
