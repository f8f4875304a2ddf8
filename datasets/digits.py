"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8×8 in 10 classes; nothing to download.

The test set of Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI machine learning repository, 1998.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.dataset import Dataset, LabelledImages, dataset


@dataset()
class Digits(Dataset):
    """scikit-learn's digits, their 17 grey levels stretched to 0..255. There is no official split."""

    def default_protocol(self, root: Path) -> str:
        return "holdout_80_20"

    def source_files(self, root: Path) -> list[Path]:
        return []

    def read(self, root: Path) -> LabelledImages:
        from sklearn.datasets import load_digits

        digits = load_digits()
        return LabelledImages(
            images=np.rint(digits.images * 255 / 16).astype(np.uint8)[..., np.newaxis],
            labels=digits.target.astype(np.int64),
            classes=tuple("0123456789"),
        )

    def fetch(self, root: Path) -> None:
        """Nothing to do: the images are part of scikit-learn."""
