"""No fault: it trains a network."""

from bench.method import method

from ._base import Features


@method(version="1")
class KeepsEveryPromiseInEpochs(Features):
    """A network."""

    lr: float = 2e-3
