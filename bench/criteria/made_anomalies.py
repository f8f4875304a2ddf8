"""Whether the detector tells held-out normal images from anomalies that are made of them.

Choosing by made anomalies: Goswami et al., Unsupervised model selection for time-series anomaly detection, ICLR 2023.
The kinds: Li, Sohn, Yoon and Pfister, CutPaste, CVPR 2021; Noroozi and Favaro's shuffled patches, ECCV 2016; noise and
colour shifts as Hendrycks and Dietterich, ICLR 2019, have them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from annotated_types import MinLen
from numpy.typing import NDArray

from bench.criterion import DetectorCriterion, Fitted, criterion
from bench.method import Images
from bench.metrics import auroc

Kind = Literal["cut_paste", "patch_swap", "noise", "colour_shift"]
Image = NDArray[np.uint8]
"""(height, width, channels)."""


@criterion(version=1, better="higher")
class MadeAnomalies(DetectorCriterion):
    """The AUROC of held-out images against one made anomaly of each, as the mean over ``kinds``.

    - ``kinds``: a patch of the image pasted elsewhere (``cut_paste``), two patches swapped, Gaussian noise, a shift of
      each channel's brightness.
    """

    kinds: Annotated[tuple[Kind, ...], MinLen(1)] = ("cut_paste", "patch_swap", "noise", "colour_shift")

    def figure(self, fitted: Fitted) -> float:
        return float(np.mean([separation(fitted, made(fitted, kind)) for kind in self.kinds]))


def separation(fitted: Fitted, anomalies: Images) -> float:
    """The AUROC of the held-out images against anomalies."""
    scores = np.concatenate([fitted.held_out_scores, fitted.score(anomalies)])
    labels = np.repeat(np.array([0, 1], np.uint8), [len(fitted.held_out), len(anomalies)])
    return auroc(labels, scores)


def made(fitted: Fitted, kind: Kind) -> Images:
    """An anomaly of one kind from each of the held-out images, the same ones for every detector."""
    generator = fitted.generator("made", kind)
    return np.stack([KINDS[kind](image, generator) for image in fitted.held_out])


def _cut_paste(image: Image, generator: np.random.Generator) -> Image:
    """A patch of 2 to 15 % of the area, at an aspect of 1/3 to 3, pasted elsewhere in the same image."""
    height, width, _ = image.shape
    area, aspect = generator.uniform(0.02, 0.15) * height * width, np.exp(generator.uniform(-np.log(3), np.log(3)))
    tall, wide = (_within(side, longest) for side, longest in ((area * aspect, height), (area / aspect, width)))
    (top, left), (onto_top, onto_left) = (_place(image, tall, wide, generator) for _ in range(2))
    changed = image.copy()
    changed[onto_top : onto_top + tall, onto_left : onto_left + wide] = image[top : top + tall, left : left + wide]
    return changed


def _patch_swap(image: Image, generator: np.random.Generator) -> Image:
    """Two of the nine fields of a 3 × 3 grid, swapped."""
    tall, wide = image.shape[0] // 3, image.shape[1] // 3
    first, second = generator.choice(9, 2, replace=False)
    fields = [
        np.s_[r * tall : (r + 1) * tall, c * wide : (c + 1) * wide] for r, c in (divmod(first, 3), divmod(second, 3))
    ]
    changed = image.copy()
    changed[fields[0]], changed[fields[1]] = image[fields[1]], image[fields[0]]
    return changed


def _noise(image: Image, generator: np.random.Generator) -> Image:
    """Gaussian noise, its deviation a tenth of the range."""
    return _pixels(image + generator.normal(0, 0.1 * 255, image.shape))


def _colour_shift(image: Image, generator: np.random.Generator) -> Image:
    """Each channel brighter or darker by a tenth to three tenths of the range."""
    sign = generator.choice((-1, 1), image.shape[2])
    return _pixels(image + sign * generator.uniform(0.1, 0.3, image.shape[2]) * 255)


KINDS: dict[Kind, Callable[[Image, np.random.Generator], Image]] = {
    "cut_paste": _cut_paste,
    "patch_swap": _patch_swap,
    "noise": _noise,
    "colour_shift": _colour_shift,
}


def _within(square: float, longest: int) -> int:
    return int(np.clip(round(square**0.5), 1, longest))


def _place(image: Image, tall: int, wide: int, generator: np.random.Generator) -> tuple[int, int]:
    """The upper left corner of a patch that lies within the image."""
    return int(generator.integers(image.shape[0] - tall + 1)), int(generator.integers(image.shape[1] - wide + 1))


def _pixels(values: NDArray[np.float64]) -> Image:
    return np.rint(values.clip(0, 255)).astype(np.uint8)
