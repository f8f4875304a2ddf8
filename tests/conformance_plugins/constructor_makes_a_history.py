"""Fault: the constructor sets what is no hyperparameter."""

from bench.method import method

from ._base import Centroid


@method(version="1")
class ConstructorMakesAHistory(Centroid):
    def __post_init__(self) -> None:
        self.history: list[float] = []
