"""A category's good images are normal and its defects anomalous: one detector for each category of MVTec-AD.

Bergmann et al., MVTec AD: a comprehensive real-world dataset for unsupervised anomaly detection, CVPR 2019. MVTec AD 2,
VisA, BTAD, MPDD and DAGM are measured likewise.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.dataset import PreparedDataset
from bench.protocol import protocol
from bench.protocols.sibling_subclasses import SiblingSubclasses


@protocol(version=1)
class Category(SiblingSubclasses):
    """Train: training images of a superclass's normal class. Test: all test images of that superclass, no others'.

    A job's normal class is called by the superclass: ``bottle``. The normal class of a superclass is its first one with
    training images: of ``bottle/good``, ``bottle/broken_large`` and so on, the only one. The seed changes nothing.
    """

    anomalies_have_kinds = True

    def normal_sets(self, dataset: PreparedDataset) -> Mapping[str, frozenset[int]]:
        sets: dict[str, frozenset[int]] = {}
        for name, labels in super().normal_sets(dataset).items():
            sets.setdefault(self.called(dataset, name), labels)
        return sets

    def called(self, dataset: PreparedDataset, name: str) -> str:
        assert dataset.superclasses is not None
        return dataset.superclasses[dataset.label(name)]
