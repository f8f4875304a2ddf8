"""Fault: maps are relative to their image's contrast, which a blank one has none of."""

import numpy as np

from bench.method import Images, Maps, method

from ._base import Centroid


@method(version="1")
class MapsOfBlankImagesDivideByZero(Centroid):
    def score_map(self, images: Images) -> Maps:
        contrast = images.reshape(len(images), -1).std(axis=1)[:, None, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            maps: Maps = self.differences(images) / contrast
        return maps
