"""Labels and scores to metrics, and which way each is better."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HIGHER_IS_BETTER = {
    "auroc": True,
    "average_precision": True,
    "fpr_at_95_tpr": False,
    "f1_max": True,
    "pixel_auroc": True,
    "pixel_average_precision": True,
    "aupro_30": True,
    "aupro_05": True,
    "aupimo": True,
}
"""Every metric of images and, by ``bench.localisation``, of their pixels, and its direction."""
CHOSEN_BY_LABELS = frozenset({"f1_max"})
"""Metrics at a threshold that the test labels choose, which no detector in use could have: to be marked where shown."""


def auroc(labels: NDArray[np.uint8], scores: NDArray[np.floating[Any]]) -> float:
    """Area under the ROC curve: the chance that an anomalous image scores above a normal one, ties counting half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def measured(labels: NDArray[np.uint8], scores: NDArray[np.floating[Any]]) -> dict[str, float]:
    """The metrics of one job: ``auroc``, ``average_precision`` and ``fpr_at_95_tpr``, anomalous = positive.

    ``labels`` (n,) are 0 normal and 1 anomalous, both present; ``scores`` (n,) are finite, larger = more anomalous.
    """
    from sklearn.metrics import average_precision_score, roc_curve

    # with ties, a point in the middle of a slanted segment may be the first at 95 %
    false_positive_rate, true_positive_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    return {
        "auroc": auroc(labels, scores),
        "average_precision": float(average_precision_score(labels, scores)),
        "fpr_at_95_tpr": float(false_positive_rate[true_positive_rate >= 0.95].min()),
    }


def f1_max(labels: NDArray[np.uint8], scores: NDArray[np.floating[Any]]) -> float:
    """The largest F1 over all thresholds, anomalous = positive: the threshold is chosen by the labels themselves.

    ``labels`` and ``scores`` as for ``measured``.
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(np.max(2 * precision * recall / (precision + recall).clip(np.finfo(np.float64).tiny)))
