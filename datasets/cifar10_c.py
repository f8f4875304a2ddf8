"""CIFAR-10-C: CIFAR-10's training images, and its test images with one of 19 corruptions at one of five severities.

Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, ICLR 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.dataset import Dataset, LabelledImages, dataset, missing
from bench.datasets.cifar10 import CIFAR10
from bench.errors import BenchError, DataMissing

FOLDER = "CIFAR-10-C"
SOURCE = "https://zenodo.org/records/2535967"
AGAIN = f"unpack it again from {SOURCE}"

Corruption = Literal[
    "brightness", "contrast", "defocus_blur", "elastic_transform", "fog", "frost", "gaussian_blur", "gaussian_noise",
    "glass_blur", "impulse_noise", "jpeg_compression", "motion_blur", "pixelate", "saturate", "shot_noise", "snow",
    "spatter", "speckle_noise", "zoom_blur",
]  # fmt: skip


@dataset()
class CIFAR10C(Dataset):
    """``CIFAR-10-C/<corruption>.npy`` and ``labels.npy`` beside the original batches of CIFAR-10.

    Training images are clean, so that ``official_split`` asks whether a detector stands a corruption that it never
    met. ``rest_vs_one`` should be asked for its official images: merged ones would let corrupted images train.
    """

    corruption: Corruption
    severity: Literal[1, 2, 3, 4, 5]

    def source_files(self, root: Path) -> list[Path]:
        own = [root / FOLDER / f"{self.corruption}.npy", root / FOLDER / "labels.npy"]
        if absent := [file.relative_to(root) for file in own if not file.is_file()]:
            raise missing("cifar10_c", root, absent, f"unpack CIFAR-10-C.tar from {SOURCE} in {root}")
        return sorted([*CIFAR10().source_files(root), *own])

    def read(self, root: Path) -> LabelledImages:
        clean = CIFAR10().read(root)
        assert clean.is_test is not None
        train, count = ~clean.is_test, int(clean.is_test.sum())
        images, labels = (
            self._part(root / FOLDER / f"{name}.npy", shape, count)
            for name, shape in ((self.corruption, clean.images.shape[1:]), ("labels", ()))
        )
        if not np.array_equal(labels, clean.labels[clean.is_test]):
            raise DataMissing(f"{root / FOLDER / 'labels.npy'} holds other labels than CIFAR-10's test images; {AGAIN}")
        return LabelledImages(
            images=np.concatenate([clean.images[train], images]),
            labels=np.concatenate([clean.labels[train], labels]).astype(np.int64),
            classes=clean.classes,
            is_test=np.repeat([False, True], [int(train.sum()), count]),
        )

    def fetch(self, root: Path) -> None:
        """Raises BenchError with where the files are: an archive of 2.9 GB, which is not downloaded unasked."""
        raise BenchError(f"CIFAR-10-C is an archive of 2.9 GB: unpack CIFAR-10-C.tar from {SOURCE} in {root}")

    def _part(self, file: Path, shape: tuple[int, ...], count: int) -> NDArray[np.uint8]:
        """The rows of this severity: the first ``count`` are of severity 1, the last of severity 5."""
        try:
            whole = np.load(file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataMissing(f"{file} cannot be read ({error}); {AGAIN}") from error
        if whole.shape != (5 * count, *shape) or whole.dtype != np.uint8:
            raise DataMissing(f"{file} holds {whole.dtype} {whole.shape}, not uint8 {(5 * count, *shape)}; {AGAIN}")
        return np.asarray(whole[count * (self.severity - 1) : count * self.severity])
