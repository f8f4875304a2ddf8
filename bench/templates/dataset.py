"""Diamonds, discs and squares, drawn at random places with noise: 16×16 grey images in 3 classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.dataset import Dataset, LabelledImages, dataset

SHAPES = {"diamond": 1, "disc": 2, "square": np.inf}
"""Each class is a ball of one norm."""

SIDE, RADIUS, NOISE = 16, 5, 16


@dataset()
class MyDataset(Dataset):
    """``per_class`` images of each class; every fifth is an official test image."""

    per_class: int = 100

    def source_files(self, root: Path) -> list[Path]:
        # whatever read() depends on: the arrays are made anew when one of these files changes
        return [Path(__file__)]

    def read(self, root: Path) -> LabelledImages:
        generator = np.random.default_rng(0)
        images = [_drawn(order, generator) for order in SHAPES.values() for _ in range(self.per_class)]
        return LabelledImages(
            images=np.stack(images),
            labels=np.repeat(np.arange(len(SHAPES)), self.per_class),
            classes=tuple(SHAPES),
            is_test=np.arange(len(images)) % 5 == 0,
        )

    def fetch(self, root: Path) -> None:
        """Nothing to do: the images are drawn."""


def _drawn(order: float, generator: np.random.Generator) -> np.ndarray:
    """One image, uint8 (height, width, 1): a light ball on dark ground, its centre up to two pixels off the middle."""
    centre = SIDE / 2 + generator.uniform(-2, 2, size=(2, 1, 1))
    offsets = np.indices((SIDE, SIDE)) + 0.5 - centre
    inside = np.linalg.norm(offsets, ord=order, axis=0) < RADIUS
    grey = np.where(inside, 200, 50) + generator.normal(0, NOISE, size=(SIDE, SIDE))
    return grey.clip(0, 255).astype(np.uint8)[..., np.newaxis]
