"""DAGM 2007: ten artificial textures, grey, 512×512, with ellipses around their defects.

Wieler, Hahn, Weakly supervised learning for industrial optical inspection, DAGM symposium 2007.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.dataset import dataset
from bench.datasets._archive import Archive
from bench.datasets._inspection import Categories, Part
from bench.errors import DataMissing


@dataset()
class DAGM(Categories):
    """``DAGM2007/Class<1 … 10>`` with ``Train`` and ``Test``, in each ``Label/Labels.txt`` and the masks.

    Kinds are ``good`` and ``bad``. ``Train`` has defects too: they never train as normal ones, and are there for
    contamination.
    """

    name = "dagm"
    folder = "DAGM2007"
    categories = tuple(f"Class{number}" for number in range(1, 11))
    archive = Archive(page="https://zenodo.org/records/12750201")

    def parts(self, root: Path) -> Mapping[str, Sequence[Part]]:
        return {
            category: [
                part
                for split in ("Train", "Test")
                for part in _listed(root / self.folder / category / split, is_test=split == "Test")
            ]
            for category in self._there(root)
        }


def _listed(folder: Path, is_test: bool) -> Iterator[Part]:
    """The parts that Labels.txt lists, one a line: number, whether it is a defect, picture, 0, mask (0: none)."""
    labels = folder / "Label"
    try:
        lines = (labels / "Labels.txt").read_text(encoding="utf-8").splitlines()
        for line in lines[1:]:  # the first has the number of the class
            _, is_defect, picture, _, mask = line.split("\t")
            kind = "bad" if int(is_defect) else "good"
            yield Part(folder / picture, kind, is_test, kind == "good", labels / mask if mask != "0" else None)
    except (OSError, ValueError) as error:
        raise DataMissing(
            f"{labels / 'Labels.txt'} cannot be read ({error}); get it anew from {DAGM.archive.page}"
        ) from error
