"""Fault: there are reconstructions of those images alone that are like what was learnt."""

import numpy as np

from bench.method import Images, method

from ._base import Centroid


@method(version="1")
class ReconstructionsAreLeftOutWhereBad(Centroid):
    def reconstruct(self, images: Images) -> Images:
        scores = self.score(images)
        return images[scores < np.median(scores)]
