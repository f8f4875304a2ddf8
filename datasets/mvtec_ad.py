"""MVTec AD: 5,354 pictures of 15 kinds of objects and textures with masks of their defects.

Bergmann, Fauser, Sattlegger, Steger, MVTec AD: a comprehensive real-world dataset for unsupervised anomaly detection,
CVPR 2019. Licence: CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from bench.dataset import dataset
from bench.datasets._archive import Archive
from bench.datasets._inspection import InFolders


@dataset()
class MVTecAD(InFolders):
    """``mvtec_anomaly_detection/<category>``: ``train/good``, ``test/<kind>``, ``ground_truth/<kind>/*_mask.png``."""

    name = "mvtec_ad"
    folder = "mvtec_anomaly_detection"
    categories = (
        "bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw", "tile",
        "toothbrush", "transistor", "wood", "zipper",
    )  # fmt: skip
    archive = Archive(
        page="https://www.mvtec.com/company/research/datasets/mvtec-ad",
        url="https://www.mydrive.ch/shares/150996/b52ecdcbf521176e9db9c731f2304b27/download/420938113-1629960298/"
        "mvtec_anomaly_detection.tar.xz",
        sha256="cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
    )
