"""How anomalous the detector finds normal images that it has not seen: the lower the better.

The prediction error of Goswami et al., Unsupervised model selection for time-series anomaly detection, ICLR 2023, on
images that were held out. Scores of different methods have different units, so that it compares settings of one.
"""

from __future__ import annotations

import numpy as np

from bench.criterion import DetectorCriterion, Fitted, criterion


@criterion(version=1, better="lower", across_methods=False)
class HeldOutLevel(DetectorCriterion):
    """The mean score of the held-out images."""

    def figure(self, fitted: Fitted) -> float:
        return float(np.mean(fitted.held_out_scores))
