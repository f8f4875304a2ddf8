"""Fault: the constructor keeps another value than it was given."""

from bench.method import method

from ._base import Centroid


@method(version="1")
class ConstructorRounds(Centroid):
    patch: int = 7

    def __post_init__(self) -> None:
        self.patch = 2 * (self.patch // 2)
