"""The four idx files that MNIST and the datasets in its format consist of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from bench.dataset import LabelledImages
from bench.datasets._published import PublishedFiles


class IdxFiles(PublishedFiles):
    """Grey images in idx files, plain or as the .gz they are distributed as."""

    classes: ClassVar[Sequence[str]]

    def locate(self, root: Path, file: str) -> Path:
        plain = super().locate(root, file)
        packed = plain.with_name(f"{file}.gz")
        return packed if packed.is_file() and not plain.is_file() else plain

    def read(self, root: Path) -> LabelledImages:
        from torchvision.datasets.mnist import read_image_file, read_label_file

        self.source_files(root)
        parts = ("train", "t10k")
        images = [self._read(root, f"{part}-images-idx3-ubyte", read_image_file) for part in parts]
        labels = [self._read(root, f"{part}-labels-idx1-ubyte", read_label_file) for part in parts]
        return LabelledImages(
            images=np.concatenate(images)[..., np.newaxis],
            labels=np.concatenate(labels).astype(np.int64),
            classes=self.classes,
            is_test=np.repeat([False, True], [len(part) for part in images]),
        )

    def _read(self, root: Path, file: str, reader: Any) -> Any:
        data, path = self.content(root, file), self.locate(root, file)
        with TemporaryDirectory() as scratch:
            if path.suffix == ".gz":  # torchvision's reader takes plain files alone
                path = Path(scratch) / file
                path.write_bytes(data)
            return reader(str(path)).numpy()
