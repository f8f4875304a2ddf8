"""The pickled batches that CIFAR-10 and CIFAR-100 consist of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.dataset import LabelledImages
from bench.datasets._published import PublishedFiles


class CifarBatches(PublishedFiles):
    """Colour images of 32×32 in pickled batches, unpickled by torchvision once their md5s are found right."""

    def read(self, root: Path) -> LabelledImages:
        self.check(root)
        parts = [self.torchvision_class()(root, train=train) for train in (True, False)]
        return LabelledImages(
            images=np.concatenate([part.data for part in parts]),
            labels=np.concatenate([part.targets for part in parts]).astype(np.int64),
            classes=tuple(parts[0].classes),
            is_test=np.repeat([False, True], [len(part.data) for part in parts]),
        )
