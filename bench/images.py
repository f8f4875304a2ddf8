"""Scaling, resizing and contrast normalisation: the steps before a network or a kernel that methods share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from bench.method import Images


def resized(images: Images, size: int) -> Images:
    """Images of size × size pixels, uint8: bilinear, with antialiasing where they shrink, as Pillow does it."""
    import torch

    if images.shape[1:3] == (size, size):
        return images
    planes = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    scaled = torch.empty((len(images), images.shape[3], size, size), dtype=torch.uint8)
    for start in range(0, len(images), 1024):  # bounds the float copies
        part = torch.nn.functional.interpolate(
            planes[start : start + 1024].float(), size=(size, size), mode="bilinear", antialias=True
        )
        scaled[start : start + 1024] = part.round_().clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(0, 2, 3, 1).numpy())


def symmetric(batch: Tensor) -> Tensor:
    """uint8 images as floats in [−1, 1], the range of a Tanh output."""
    return batch.float().div_(127.5).sub_(1.0)


def standardised(batch: Tensor, mean: float, deviation: float) -> Tensor:
    """uint8 images as floats of the given mean and standard deviation, both for pixels in [0, 1]."""
    return batch.float().div_(255.0).sub_(mean).div_(deviation)


def flattened(images: Images) -> NDArray[np.float32]:
    """Images as rows of floats in [0, 1], (n, height · width · channels)."""
    return images.reshape(len(images), -1).astype(np.float32) / 255.0


def contrast_normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Global contrast normalisation with the L1 norm: each row minus its mean, over its mean absolute deviation.

    A constant image has no contrast; it becomes zeros. Source: Ruff et al. 2018, section 4.1.
    """
    # in double precision the mean of equal pixels is that pixel, so that no rounding error is blown up to contrast
    centred = (rows - rows.mean(axis=1, keepdims=True, dtype=np.float64)).astype(rows.dtype)
    deviation = np.abs(centred).mean(axis=1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)


class ContrastScaling:
    """Global contrast normalisation, then [0, 1] by the extremes of the training images; others may fall outside.

    Source: Ruff et al. 2018, section 4.1, and the authors' code, which has the extremes as constants.
    """

    def __init__(self, training: Images) -> None:
        normalised = contrast_normalised(flattened(training))
        self.low, self.high = float(normalised.min()), float(normalised.max())

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """The images as floats, in their own shape."""
        scaled = (contrast_normalised(flattened(images)) - self.low) / max(self.high - self.low, 1e-12)
        return scaled.astype(np.float32).reshape(images.shape)
