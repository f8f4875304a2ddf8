"""Score maps that the harness makes: what a reconstruction leaves, and where a score's gradient points.

Both are blurred alike, so that no method gains by a smoother map of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.images import resized

if TYPE_CHECKING:
    from torch import Tensor

    from bench.method import Images, Maps

BLUR = 4 / 224
"""Standard deviation of the Gaussian, as a share of a map's height and of its width: 4 pixels for images of 224, as in
Roth et al., Towards total recall in industrial anomaly detection, CVPR 2022, section 3.3, and Defard et al., PaDiM,
2021. Liznerski et al., Explainable deep one-class classification, ICLR 2021, blur the maps of their baselines too."""

AT_ONCE = 64
"""Images whose gradients are taken in one batch."""


def residual(images: Images, reconstructed: Images) -> Maps:
    """|x − x̂| for pixels in [0, 1], the mean over channels, blurred: (n, height, width) of the reconstructions.

    Images of another size than their reconstructions are brought to it. Raises BenchError where that is not a square.
    """
    height, width = reconstructed.shape[1:3]
    if images.shape[1:3] != (height, width):
        if height != width:
            raise BenchError(
                f"images of {images.shape[1]}×{images.shape[2]} pixels were reconstructed as {height}×{width}: no "
                "square, and another size; let reconstruct return one or the other, or define score_map"
            )
        images = resized(images, height)
    difference = np.abs(images.astype(np.float32) - reconstructed.astype(np.float32)) / 255
    return blurred(difference.mean(axis=3))


def input_gradients(
    score: Callable[[Tensor], Tensor], inputs: NDArray[Any], *, device: str, prepare: Callable[[Tensor], Tensor]
) -> Maps:
    """|∂ score / ∂ input|, the sum over channels, blurred: (n, height, width) of the inputs (n, height, width, c).

    ``score`` maps a prepared batch to one number an image, as for ``bench.training.scored``; networks are to be in
    evaluation mode. Source: the baseline for methods without a residual of Liznerski et al. 2021, section 4.2.
    """
    import torch

    from bench.training import batches

    parts = []
    with torch.enable_grad():
        for batch in batches(inputs, AT_ONCE, device=device, prepare=prepare):
            x = batch.detach().requires_grad_()
            # each score depends on its own image alone, so that the gradient of the sum holds that of each
            (gradient,) = torch.autograd.grad(score(x).sum(), x)
            parts.append(gradient.abs().sum(dim=1).float().cpu().numpy())
    return blurred(np.concatenate(parts))


def blurred(maps: Maps) -> Maps:
    """Maps (n, height, width) after a Gaussian of BLUR's width; beyond an edge stands what lies at it."""
    from scipy.ndimage import gaussian_filter

    height, width = maps.shape[1:]
    smooth: Maps = gaussian_filter(maps, sigma=(0, BLUR * height, BLUR * width), mode="nearest")
    return smooth
