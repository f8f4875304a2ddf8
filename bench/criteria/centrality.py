"""Model centrality: a detector is the better, the more the others agree with it.

Lin, Thekumparampil, Fanti and Oh, InfoGAN-CR and ModelCentrality, ICML 2020; for anomaly detectors: Ma, Zhao, Zhang
and Akoglu, The need for unsupervised outlier model selection, SIGKDD Explorations 2023, who find no criterion to be
good, and Goswami et al., Unsupervised model selection for time-series anomaly detection, ICLR 2023.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bench.criteria._agreement import mean_agreement
from bench.criterion import AgreementCriterion, criterion
from bench.method import Scores


@criterion(version=1, better="higher")
class Centrality(AgreementCriterion):
    """The mean rank correlation of the held-out scores with those of every fit of another setting or method."""

    def figure(self, own: Sequence[Scores], others: Sequence[Scores]) -> float | None:
        return mean_agreement(itertools.product(own, others))
