"""Whether the detector tells held-out normal images from images of another data set.

Hendrycks, Mazeika and Dietterich, Deep anomaly detection with outlier exposure, ICLR 2019, tune on such images. They
must not be the anomalies of the test: the data set that is tested on is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.criteria.made_anomalies import separation
from bench.criterion import DetectorCriterion, Fitted, criterion


@criterion(version=1, better="higher")
class OtherImages(DetectorCriterion):
    """The AUROC of held-out images against images of ``dataset``, a spec, brought to the same size."""

    dataset: str

    def datasets(self) -> Sequence[str]:
        return (self.dataset,)

    def figure(self, fitted: Fitted) -> float:
        return separation(fitted, fitted.others[self.dataset])
