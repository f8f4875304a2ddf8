"""BTAD, the beanTech anomaly detection dataset: 2,830 pictures of three products, with masks.

Mishra, Verk, Fornasier, Piciarelli, Foresti, VT-ADL: a vision transformer network for image anomaly detection and
localization, ISIE 2021. Licence: CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from bench.dataset import dataset
from bench.datasets._archive import Archive
from bench.datasets._inspection import InFolders


@dataset()
class BTAD(InFolders):
    """``BTech_Dataset_transformed/<category>``: ``train/ok``, ``test/ok``, ``test/ko``, ``ground_truth/ko/<name>.*``"""

    name = "btad"
    folder = "BTech_Dataset_transformed"
    categories = ("01", "02", "03")
    archive = Archive(
        page="https://github.com/pankajmishra000/VT-ADL",
        url="https://avires.dimi.uniud.it/papers/btad/btad.zip",
        sha256="461c9387e515bfed41ecaae07c50cf6b10def647b36c9e31d239ab2736b10d2a",
        inner="BTech_Dataset_transformed",
    )
