"""MPDD, metal parts defect detection: six kinds of metal parts, painted ones among them, with masks of their defects.

Jezek, Jonak, Burget, Dvorak, Skotak, Deep learning-based defect detection of metal parts: evaluating current methods in
complex conditions, ICUMT 2021. Licence: CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from bench.dataset import dataset
from bench.datasets._archive import Archive
from bench.datasets._inspection import InFolders


@dataset()
class MPDD(InFolders):
    """``MPDD/<category>`` with ``train/good``, ``test/<kind>``, ``ground_truth/<kind>/<name>_mask.png``."""

    name = "mpdd"
    folder = "MPDD"
    categories = ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes")
    archive = Archive(page="https://github.com/stepanje/MPDD")
