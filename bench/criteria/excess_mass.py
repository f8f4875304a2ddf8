"""Excess mass: how much more of the normal images than of the space the detector's level sets hold.

Goix, How to evaluate the quality of unsupervised anomaly detection algorithms?, ICML 2016 workshop on anomaly
detection; Goix, Sabourin and Clémençon, On anomaly ranking and excess-mass curves, AISTATS 2015.
"""

from __future__ import annotations

from bench.criteria._volume import excess_mass, moved
from bench.criterion import DetectorCriterion, Fitted, criterion
from bench.method import Count, Share


@criterion(version=1, better="higher")
class ExcessMass(DetectorCriterion):
    """The area below the excess-mass curve of the held-out images.

    - ``least``: the excess mass at which the curve ends. Goix ends it at 0.9, where the level sets of real classes take
      nearly all of the space: on MNIST's 5 that left pca(explained=0.6), knn and mean_image with the same area.
    - ``draws``: of images that are moved to where they may lie in the box, uniformly.
    """

    least: Share = 0.5
    draws: Count = 500

    def figure(self, fitted: Fitted) -> float:
        return excess_mass(fitted.held_out_scores, fitted.score(moved(fitted, self.draws)), self.least)
