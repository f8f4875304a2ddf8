"""How far held-out normal images reach out of the scores that training images have: an alarm for each of them is false.

The excess of held-out over training error is the usual sign of overfitting; the tail is what a threshold is set at. In
units of the training scores' own spread, so that neither their level nor their scale counts.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

from bench.criterion import DetectorCriterion, Fitted, criterion


@criterion(version=1, better="lower")
class HeldOutSpread(DetectorCriterion):
    """(q(held out) − median(train)) / (q3(train) − q1(train)), with q the ``quantile`` of the scores."""

    quantile: Annotated[float, Gt(0.5), Lt(1)] = 0.95

    def figure(self, fitted: Fitted) -> float | None:
        low, middle, high = np.quantile(fitted.train_scores.astype(np.float64), (0.25, 0.5, 0.75))
        if high <= low:  # a detector that gives its training images one score, as neighbours at distance 0 do
            return None
        return float((np.quantile(fitted.held_out_scores.astype(np.float64), self.quantile) - middle) / (high - low))
