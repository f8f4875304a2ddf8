"""Fault: the first row of a map is the image's last."""

from bench.method import Images, Maps, method

from ._base import Centroid


@method(version="1")
class MapsAreUpsideDown(Centroid):
    def score_map(self, images: Images) -> Maps:
        return self.differences(images)[:, ::-1]
