"""An easy set that any detector learns in a moment: noise images of which one half is bright."""

from __future__ import annotations

import numpy as np

from bench.method import Images, Method
from bench.metrics import auroc


def lit(half: int, n: int, seed: int, channels: int = 1, *, height: int = 8, width: int = 8) -> Images:
    """Noise images whose upper (0) or lower (1) half is bright: the one turned upside down is like the other."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (n, height, width, channels))
    middle = height // 2
    images[:, middle * half : middle * (half + 1)] += random.integers(120, 190, (n, 1, 1, 1))
    return images.astype(np.uint8)


TEST = (lit(0, 50, 7), lit(1, 50, 8))
"""Test images of either half."""

LABELS = np.repeat(np.array([0, 1], dtype=np.uint8), 50)
"""Of the normal half's test images followed by the other half's."""


def auroc_of(method: Method, normal: int) -> float:
    """What a method that was fitted on images of one half reaches on the test images of both."""
    return auroc(LABELS, method.score(np.concatenate([TEST[normal], TEST[1 - normal]])))
