"""Mass-volume: how little of the space the detector's level sets take that hold most of the normal images.

Clémençon and Jakubowicz, Scoring anomalies: a M-estimation formulation, AISTATS 2013; as a criterion: Goix, How to
evaluate the quality of unsupervised anomaly detection algorithms?, ICML 2016 workshop on anomaly detection.
"""

from __future__ import annotations

from bench.criteria._volume import mass_volume, moved
from bench.criterion import DetectorCriterion, Fitted, criterion
from bench.method import Count


@criterion(version=1, better="lower")
class MassVolume(DetectorCriterion):
    """The area below the mass-volume curve of the held-out images, from a mass of 0.9 on.

    - ``directions``, ``draws``: as of ``excess_mass``.
    """

    directions: Count = 5
    draws: Count = 1000

    def figure(self, fitted: Fitted) -> float:
        return mass_volume(fitted.held_out_scores, fitted.score(moved(fitted, self.directions, self.draws)))
