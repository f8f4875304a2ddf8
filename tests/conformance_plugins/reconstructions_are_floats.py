"""Fault: reconstructions are floats from 0 to 1."""

from bench.images import flattened
from bench.method import Images, method

from ._base import Centroid


@method(version="1")
class ReconstructionsAreFloats(Centroid):
    def reconstruct(self, images: Images) -> Images:
        return flattened(images).reshape(images.shape)  # type: ignore[return-value]
