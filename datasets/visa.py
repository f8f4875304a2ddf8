"""VisA: 10,821 pictures of twelve kinds of objects with masks of their defects.

Zou, Jeong, Pemula, Zhang, Dabeer, SPot-the-difference self-supervised pre-training for anomaly detection and
segmentation, ECCV 2022. Licence: CC BY 4.0.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.dataset import dataset
from bench.datasets._archive import Archive
from bench.datasets._inspection import Categories, Part
from bench.errors import DataMissing

SPLIT = "split_csv/1cls.csv"


@dataset()
class VisA(Categories):
    """``VisA_20220922/<category>/Data`` with the publisher's one-class split, ``split_csv/1cls.csv``.

    Its columns are object, split, label, image and mask. Kinds are ``good`` and ``bad``.
    """

    name = "visa"
    folder = "VisA_20220922"
    categories = (
        "candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pcb1", "pcb2", "pcb3", "pcb4",
        "pipe_fryum",
    )  # fmt: skip
    archive = Archive(
        page="https://github.com/amazon-science/spot-diff",
        url="https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar",
        sha256="2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362",
    )

    def parts(self, root: Path) -> Mapping[str, Sequence[Part]]:
        folder = root / self.folder
        found: dict[str, list[Part]] = {category: [] for category in self._there(root)}
        try:
            with (folder / SPLIT).open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            for row in rows:
                if row["object"] in found:
                    is_normal, mask = row["label"] == "normal", folder / row["mask"] if row["mask"] else None
                    kind = "good" if is_normal else "bad"
                    part = Part(folder / row["image"], kind, row["split"] == "test", is_normal, mask)
                    found[row["object"]].append(part)
        except (OSError, ValueError, KeyError) as error:
            raise DataMissing(
                f"{folder / SPLIT} cannot be read ({type(error).__name__}: {error}); it has the columns object, split, "
                f"label, image and mask; get it from {self.archive.page}"
            ) from error
        return found
