"""The folders say it: train/<normal class>, test/<every class>, as MVTec-AD and its successors are laid out.

Bergmann et al., MVTec AD: a comprehensive real-world dataset for unsupervised anomaly detection, CVPR 2019.
"""

from __future__ import annotations

import numpy as np

from bench.dataset import PreparedDataset
from bench.protocol import Indices, Mask, Protocol, protocol


@protocol(version=1)
class TrainTestFolders(Protocol):
    """Train: what lies in the normal class's training folder. Test: all test folders. The seed changes nothing."""

    needs_official_split = True
    anomalies_have_kinds = True

    def divide(self, dataset: PreparedDataset, normal: Mask, generator: np.random.Generator) -> tuple[Indices, Indices]:
        is_test = self.official_test(dataset)
        return np.flatnonzero(normal & ~is_test), np.flatnonzero(is_test)
