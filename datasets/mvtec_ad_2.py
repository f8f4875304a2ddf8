"""MVTec AD 2: eight kinds of objects and textures under changing light, with masks of their defects.

Heckler-Kram, Neudeck, Scheler, König, Steger, The MVTec AD 2 dataset: advanced scenarios for unsupervised anomaly
detection, 2025. Licence: CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from bench.dataset import dataset
from bench.datasets._archive import Archive
from bench.datasets._inspection import InFolders, Layout


@dataset()
class MVTecAD2(InFolders):
    """``mvtec_ad_2/<category>``: ``train/good``, ``test_public/good`` and ``bad``, ``test_public/ground_truth/bad``.

    The masks of the private test sets stay with the publisher, so these are not read; nor are the images of
    ``validation``, which are for choosing settings.
    """

    name = "mvtec_ad_2"
    folder = "mvtec_ad_2"
    categories = ("can", "fabric", "fruit_jelly", "rice", "sheet_metal", "vial", "wallplugs", "walnuts")
    archive = Archive(
        page="https://www.mvtec.com/company/research/datasets/mvtec-ad-2",
        url="https://www.mydrive.ch/shares/150997/701c90d3aea6588f404936e32a674602/download/466712769-1743429042/"
        "mvtec_ad_2.tar.gz",
        sha256="c0ded99ef32bfc8e352d52beb44515e5b292b8598cb963aadfa91ca0763505e4",
    )
    layout = Layout(test="test_public", masks="test_public/ground_truth")
