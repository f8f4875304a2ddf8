"""Mass-volume: how little of the space the detector's level sets take that hold most of the normal images.

Clémençon and Jakubowicz, Scoring anomalies: a M-estimation formulation, AISTATS 2013; as a criterion: Goix, How to
evaluate the quality of unsupervised anomaly detection algorithms?, ICML 2016 workshop on anomaly detection.
"""

from __future__ import annotations

from bench.criteria._volume import mass_volume, moved
from bench.criterion import DetectorCriterion, Fitted, criterion
from bench.method import Count, Share


@criterion(version=1, better="lower")
class MassVolume(DetectorCriterion):
    """The area below the mass-volume curve of the held-out images.

    - ``least``: the mass at which it begins; ``draws``: as of ``excess_mass``.
    """

    least: Share = 0.9
    draws: Count = 500

    def figure(self, fitted: Fitted) -> float:
        return mass_volume(fitted.held_out_scores, fitted.score(moved(fitted, self.draws)), self.least)
