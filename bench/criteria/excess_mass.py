"""Excess mass: how much more of the normal images than of the space the detector's level sets hold.

Goix, How to evaluate the quality of unsupervised anomaly detection algorithms?, ICML 2016 workshop on anomaly
detection; Goix, Sabourin and Clémençon, On anomaly ranking and excess-mass curves, AISTATS 2015.
"""

from __future__ import annotations

from bench.criteria._volume import excess_mass, moved
from bench.criterion import DetectorCriterion, Fitted, criterion
from bench.method import Count


@criterion(version=1, better="higher")
class ExcessMass(DetectorCriterion):
    """The area below the excess-mass curve of the held-out images, down to EM = 0.9.

    - ``directions``: principal directions of the training images in which volume is measured; Goix draws 5 features.
    - ``draws``: of images that are moved uniformly along these.
    """

    directions: Count = 5
    draws: Count = 1000

    def figure(self, fitted: Fitted) -> float:
        return excess_mass(fitted.held_out_scores, fitted.score(moved(fitted, self.directions, self.draws)))
