"""Fault: maps are rows of pixels."""

from bench.method import Images, Maps, method

from ._base import Centroid


@method(version="1")
class MapsAreRows(Centroid):
    def score_map(self, images: Images) -> Maps:
        return self.differences(images).reshape(len(images), -1)
