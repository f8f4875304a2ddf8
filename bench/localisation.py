"""Score maps and masks to pixel metrics: exact on all pixels of all images, none of them chosen by labels.

Maps are gone through twice, an image at a time, and only the scores of anomalous pixels are kept. A level is a distinct
score of an anomalous pixel: between two levels a curve can only go sideways, so that it is known in full from how many
normal pixels score above each level, and how many reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Scores = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]

PRO_LIMITS = {"aupro_30": 0.3, "aupro_05": 0.05}
"""The false positive rate that each area under the PRO curve goes up to."""
PIMO_BOUNDS = (1e-5, 1e-4)
"""The rates of false positives on normal images that AUPIMO lies between."""
NEIGHBOURS = np.ones((3, 3), dtype=bool)
"""Pixels of one region touch by a side or a corner."""
POOLED = 2**23
"""Normal pixels that are sorted together: as many as make the search for the levels cheap beside it."""


def localised(maps: Sequence[Scores], masks: Sequence[Mask]) -> dict[str, float]:
    """How well score maps find the pixels that masks mark, larger = better throughout.

    ``maps[i]`` is (h, w) at the method's own resolution, finite, larger = more anomalous; ``masks[i]`` is bool
    (height, width) at the image's own size, all False for a normal image. Each is asked for twice and may be made anew.

    - ``pixel_auroc``: the chance that an anomalous pixel scores above a normal one, ties counting half;
    - ``pixel_average_precision``: the precision at each threshold, weighed by the recall that it adds;
    - ``aupro_30``, ``aupro_05``: the area under the mean share of a region's pixels that reach a threshold, over the
      share of all normal pixels that do, up to 0.3 or 0.05 and divided by that (Bergmann et al., IJCV 2021). A region
      is an 8-connected component of one mask; the curve is straight between thresholds, also where the limit cuts it;
    - ``aupimo``: the mean share of an anomalous image's anomalous pixels that reach a threshold, averaged over the
      logarithm of the mean share of a normal image's pixels that do, from 1e-5 to 1e-4 (Bertoldo et al., BMVC 2024).
      Absent where no image is normal.

    Raises BenchError where a map is none or does not go with its mask, and where no pixel is anomalous, or none normal.
    """
    if len(maps) != len(masks):
        raise BenchError(f"{len(maps)} score maps for {len(masks)} masks; there must be one for each")
    anomalous = _anomalous(maps, masks)
    normal = _normal(maps, masks, anomalous.levels)
    overlap = _curve(anomalous.regions, normal.pixels)
    metrics = {
        "pixel_auroc": _area(_curve(anomalous.pixels, normal.pixels)),
        "pixel_average_precision": _average_precision(anomalous.pixels, normal.pixels),
    }
    metrics |= {name: _area(overlap.between(0, limit)) / limit for name, limit in PRO_LIMITS.items()}
    if normal.images.total:
        low, high = PIMO_BOUNDS
        found = _curve(anomalous.images, normal.images).between(low, high)
        metrics["aupimo"] = _log_area(found) / float(np.log(high / low))
    return metrics


def upsampled(scores: Scores, shape: tuple[int, ...]) -> Scores:
    """A map brought to (height, width), bilinear between the centres of its pixels and flat beyond the outermost ones.

    That is ``align_corners=False``; it shrinks without antialiasing. Equal neighbours stay equal to the last bit.
    """
    for axis, (own, wanted) in enumerate(zip(scores.shape, shape, strict=True)):
        if own != wanted:
            centres = np.clip((np.arange(wanted) + 0.5) * own / wanted - 0.5, 0, own - 1)
            before = centres.astype(np.intp)
            way = np.expand_dims((centres - before).astype(scores.dtype), 1 - axis)
            lower = scores.take(before, axis)
            scores = lower + way * (scores.take(np.minimum(before + 1, own - 1), axis) - lower)
    return scores


@dataclass(frozen=True)
class _Anomalous:
    """The levels from the lowest up, and what each of them adds."""

    levels: Scores
    pixels: Numbers
    """Anomalous pixels."""
    regions: Numbers
    """Their shares of their regions, summed."""
    images: Numbers
    """Their shares of their images' anomalous pixels, summed."""


@dataclass(frozen=True)
class _Reached:
    """How many normal pixels there are, in all and beyond each level; a pixel counts as much as it weighs."""

    above: Numbers
    """Those that score higher."""
    reach: Numbers
    """Those that score as high or higher."""
    total: float


@dataclass(frozen=True)
class _Normal:
    """Normal pixels beyond each level, from the lowest up."""

    pixels: _Reached
    """Those of all images, each counting one."""
    images: _Reached
    """Those of normal images, each counting its share of its image."""


@dataclass(frozen=True)
class _Curve:
    """A curve from (0, 0) to (1, 1) that never falls, straight between its corners; it may rise upright."""

    x: Numbers
    y: Numbers

    def between(self, low: float, high: float) -> _Curve:
        """Its part over low to high: at low after it rises upright there, at high before it does."""
        first, end = int(self.x.searchsorted(low, side="right")), int(self.x.searchsorted(high, side="left"))
        x = np.concatenate(([low], self.x[first:end], [high]))
        return _Curve(x, np.concatenate(([self._before(first, low)], self.y[first:end], [self._before(end, high)])))

    def _before(self, corner: int, x: float) -> float:
        """The height at x of the line that ends at a corner."""
        (left, right), (lower, upper) = self.x[corner - 1 : corner + 1], self.y[corner - 1 : corner + 1]
        return float(lower + (upper - lower) * (x - left) / (right - left))


def _curve(gains: Numbers, normal: _Reached) -> _Curve:
    """What is found over the normal pixels that are reached: for each level a line sideways, then one up or aslant."""
    found = np.concatenate(([0.0], np.cumsum(gains[::-1])))
    reached = np.column_stack((normal.above, normal.reach))[::-1].ravel()
    return _Curve(np.concatenate(([0.0], reached / normal.total, [1.0])), np.repeat(found, 2) / found[-1])


def _area(curve: _Curve) -> float:
    return float(np.sum(np.diff(curve.x) * (curve.y[1:] + curve.y[:-1])) / 2)


def _log_area(curve: _Curve) -> float:
    """The area over the logarithm of x, of a curve that is straight over x itself."""
    wide = np.diff(curve.x) > 0
    start, width = curve.x[:-1][wide], np.diff(curve.x)[wide]
    lower, rise = curve.y[:-1][wide], np.diff(curve.y)[wide]
    length = np.log1p(width / start)
    return float(np.sum(lower * length + rise * (1 - start * length / width)))


def _average_precision(gains: Numbers, normal: _Reached) -> float:
    found = np.cumsum(gains[::-1])
    return float(np.sum(gains[::-1] * found / (found + normal.reach[::-1])) / found[-1])


def _anomalous(maps: Sequence[Scores], masks: Sequence[Mask]) -> _Anomalous:
    """The anomalous pixels of all images."""
    from scipy.ndimage import label

    scores, regions, images = [], [], []
    for index in range(len(masks)):
        mask = masks[index]
        if mask.any():
            scores.append(_brought(maps[index], mask, index)[mask])
            region = label(mask, NEIGHBOURS)[0][mask]
            regions.append(1 / np.bincount(region)[region])
            images.append(np.full(region.size, 1 / region.size))
    if not scores:
        raise BenchError(f"none of {len(masks)} masks has an anomalous pixel; pixel metrics need one")
    levels, level = np.unique(np.concatenate(scores), return_inverse=True)
    pixels, by_region, by_image = (
        np.bincount(level, shares).astype(np.float64, copy=False)
        for shares in (None, np.concatenate(regions), np.concatenate(images))
    )
    return _Anomalous(levels, pixels, by_region, by_image)


def _normal(maps: Sequence[Scores], masks: Sequence[Mask], levels: Scores) -> _Normal:
    """The normal pixels of all images, held against the levels of the anomalous ones."""
    above, reach, total = np.zeros((2, levels.size)), np.zeros((2, levels.size)), np.zeros(2)
    for scores, share in _sorted_parts(maps, masks):
        higher = scores.size - scores.searchsorted(levels, side="right")
        as_high = scores.size - scores.searchsorted(levels, side="left")
        for kind, weight in enumerate((1.0, share)):
            above[kind] += weight * higher
            reach[kind] += weight * as_high
            total[kind] += weight * scores.size
    if not total[0]:
        raise BenchError(f"none of {len(masks)} masks has a normal pixel; pixel metrics need one")
    pixels, images = (_Reached(above[kind], reach[kind], float(total[kind])) for kind in range(2))
    return _Normal(pixels, images)


def _sorted_parts(maps: Sequence[Scores], masks: Sequence[Mask]) -> Iterator[tuple[Scores, float]]:
    """The scores of normal pixels in sorted parts, and what share of a normal image each pixel is, 0 in the others."""
    parts: dict[float, list[Scores]] = {}
    held = 0
    for index in range(len(masks)):
        mask = masks[index]
        own = _brought(maps[index], mask, index)[~mask]
        parts.setdefault(0.0 if mask.any() else 1 / mask.size, []).append(own)
        held += own.size
        if held >= POOLED or index == len(masks) - 1:
            yield from ((np.sort(np.concatenate(part)), share) for share, part in parts.items())
            parts, held = {}, 0


def _brought(scores: Scores, mask: Mask, index: int) -> Scores:
    """A map at its mask's size, after a look at both."""
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise BenchError(f"mask {index} is {mask.dtype} {mask.shape}; it must be bool (height, width)")
    if scores.ndim != 2 or not scores.size or not np.issubdtype(scores.dtype, np.floating):
        raise BenchError(f"score map {index} is {scores.dtype} {scores.shape}; it must be float (height, width)")
    if not np.isfinite(scores).all():
        raise BenchError(f"score map {index} has pixels that are not finite; what makes it is at fault")
    return upsampled(scores, mask.shape)
