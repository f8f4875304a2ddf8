"""Magnetic tiles: 1,338 grey pictures of their surfaces, five kinds of defects, with masks of them.

Huang, Qiu, Guo, Wang, Yuan, Surface defect saliency of magnetic tile, CASE 2018. No licence is stated; the authors
welcome use with citation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.dataset import Dataset, LabelledImages, dataset, missing
from bench.datasets._archive import Archive
from bench.datasets._inspection import Layout, Part, by_kind, checked, files_of, require_size

FOLDER = "magnetic_tile"
ARCHIVE = Archive(page="https://github.com/abin24/Magnetic-tile-defect-datasets.")


@dataset()
class MagneticTile(Dataset):
    """``magnetic_tile`` with ``train/good``, ``test/<kind>``, ``ground_truth/<kind>/<name>_mask.png``.

    The authors' folders (``MT_Blowhole/Imgs`` and so on) have no split: that of these folders is not theirs.
    """

    size: int = 128

    def __post_init__(self) -> None:
        require_size(f"magnetic_tile(size={self.size})", self.size)

    def default_protocol(self, root: Path) -> str:
        return "train_test_folders"

    def source_files(self, root: Path) -> list[Path]:
        return files_of(self._parts(root))

    def read(self, root: Path) -> LabelledImages:
        return by_kind(self._parts(root))

    def fetch(self, root: Path) -> None:
        """Raises BenchError, naming the page, where the folder is not there."""
        if not (root / FOLDER).is_dir():
            ARCHIVE.fetch("magnetic_tile", root, root / FOLDER)

    def _parts(self, root: Path) -> Sequence[Part]:
        if not (root / FOLDER).is_dir():
            expected = [Path(FOLDER) / each for each in ("train/good", "test", "ground_truth")]
            raise missing("magnetic_tile", root, expected, ARCHIVE.where("magnetic_tile", root, root / FOLDER))
        return checked(Layout().parts(root / FOLDER), root / FOLDER)
