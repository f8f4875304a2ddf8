"""Images that a detector learns in a moment, for the tests of the methods."""

from __future__ import annotations

import numpy as np

from bench.method import Method
from bench.metrics import auroc


def lit(half: int, n: int, seed: int, channels: int = 1) -> np.ndarray:
    """Noise images whose upper (0) or lower (1) half is bright: the one turned upside down is like the other."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (n, 8, 8, channels))
    images[:, 4 * half : 4 * half + 4] += random.integers(120, 190, (n, 1, 1, 1))
    return images.astype(np.uint8)


TEST = (lit(0, 50, 7), lit(1, 50, 8))
LABELS = np.repeat(np.array([0, 1], dtype=np.uint8), 50)


def auroc_of(method: Method, normal: int) -> float:
    return auroc(LABELS, method.score(np.concatenate([TEST[normal], TEST[1 - normal]])))
