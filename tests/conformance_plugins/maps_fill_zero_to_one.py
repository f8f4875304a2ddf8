"""Fault: maps are scaled to [0, 1] by the extremes of the call."""

from bench.method import Images, Maps, method

from ._base import Centroid


@method(version="1")
class MapsFillZeroToOne(Centroid):
    def score_map(self, images: Images) -> Maps:
        maps = self.differences(images)
        scaled: Maps = (maps - maps.min()) / (maps.max() - maps.min() + 1e-9)
        return scaled
