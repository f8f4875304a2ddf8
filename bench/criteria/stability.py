"""Whether fits of one setting from several seeds, or on several bootstrap samples, put images in the same order.

Duan et al., Unsupervised model selection for variational disentangled representation learning, ICLR 2020, choose by
such agreement of seeds; with resampled training images (``--bootstrap``): von Luxburg, Clustering stability, 2010.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.criteria._agreement import among, mean_agreement
from bench.criterion import AgreementCriterion, criterion
from bench.method import Scores


@criterion(version=1, better="higher")
class Stability(AgreementCriterion):
    """The mean rank correlation of the held-out scores over every two fits of the setting; it takes two at least.

    Fits that are all the same say nothing: a method without randomness takes bootstrap samples.
    """

    def figure(self, own: Sequence[Scores], others: Sequence[Scores]) -> float | None:
        if all(np.array_equal(own[0], each) for each in own[1:]):
            return None
        return mean_agreement(among(own))
