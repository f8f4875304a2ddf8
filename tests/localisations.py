"""Maps with masks, and pixel metrics plainly: every distinct score a threshold, rates fractions, areas line by line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import gaussian_filter

Point = tuple[Fraction, Fraction]
Images = tuple[list[np.ndarray], list[np.ndarray]]
relaxed = settings(deadline=None, max_examples=100)


@st.composite
def cases(draw: st.DrawFn) -> Images:
    """A few small images of several sizes, with both kinds of pixels, and maps with few enough levels for ties."""
    maps, masks = [], []
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    for shape in draw(st.lists(array_shapes(min_dims=2, max_dims=2, max_side=6), min_size=1, max_size=4)):
        share = draw(st.sampled_from(["none", "some", "all"]))
        some = arrays(bool, shape)
        masks.append(draw(some) if share == "some" else np.full(shape, share == "all"))
        maps.append(draw(arrays(np.float32, shape, elements=st.integers(0, levels).map(float))))
    assume(any(mask.any() for mask in masks) and not all(mask.all() for mask in masks))
    return maps, masks


def images(anomalous: int, normal: int, side: int, seed: int = 0) -> Images:
    """Smooth noise, higher in blobs that masks mark; ``normal`` of the images have none."""
    generator = np.random.default_rng(seed)
    maps, masks = [], []
    for index in range(anomalous + normal):
        noise = gaussian_filter(generator.normal(size=(side, side)), side / 32)
        blobs = gaussian_filter(generator.normal(size=(side, side)), side / 16)
        mask = blobs > np.quantile(blobs, 0.95) if index < anomalous else np.zeros((side, side), dtype=bool)
        scores = noise / noise.std() + mask * generator.uniform(0.5, 3)
        maps.append((scores - scores.min()).astype(np.float32))
        masks.append(mask)
    return maps, masks


def regions(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """The pixels of each 8-connected component, by spreading from a pixel to its eight neighbours."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    found = []
    while left:
        region, edge = [], [left.pop()]
        while edge:
            row, column = edge.pop()
            region.append((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            edge.extend(near)
        found.append(region)
    return found


def thresholds(maps: Sequence[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate([scores.ravel() for scores in maps]))[::-1]


def reached(scores: Sequence[float] | np.ndarray, threshold: float) -> Fraction:
    """The share of scores at or above a threshold."""
    return Fraction(int(np.sum(np.asarray(scores) >= threshold)), len(scores))


def mean(shares: Sequence[Fraction]) -> Fraction:
    return sum(shares, Fraction(0)) / len(shares)


def pro_curve(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[Point]:
    """The rate of false positives over all normal pixels, and the mean share of a region that is found."""
    normal = np.concatenate([scores[~mask] for scores, mask in zip(maps, masks, strict=True)])
    parts = [
        [scores[pixel] for pixel in region]
        for scores, mask in zip(maps, masks, strict=True)
        for region in regions(mask)
    ]
    return [
        (Fraction(0), Fraction(0)),
        *((reached(normal, t), mean([reached(part, t) for part in parts])) for t in thresholds(maps)),
    ]


def pimo_curve(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray], index: int) -> list[Point]:
    """The mean of normal images' false positive rates, and the share of one image's anomalous pixels that is found."""
    normal = [scores.ravel() for scores, mask in zip(maps, masks, strict=True) if not mask.any()]
    own = maps[index][masks[index]]
    return [
        (Fraction(0), Fraction(0)),
        *((mean([reached(scores, t) for scores in normal]), reached(own, t)) for t in thresholds(maps)),
    ]


def lines(curve: list[Point], low: Fraction, high: Fraction) -> Iterator[tuple[Point, Point]]:
    """The lines of a curve over low to high, each cut to what lies there; upright ones are left out."""
    for (left, lower), (right, upper) in pairwise(curve):
        start, end = max(left, low), min(right, high)
        if start < end:
            slope = (upper - lower) / (right - left)
            yield (start, lower + slope * (start - left)), (end, lower + slope * (end - left))


def aupro(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray], limit: float) -> float:
    curve, end = pro_curve(maps, masks), Fraction(limit)
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in lines(curve, Fraction(0), end))
    return float(area / end)


def aupimo(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray], low: float, high: float) -> float:
    """The mean over anomalous images of the area over log x, each divided by that of a perfect image."""
    areas = []
    for index, mask in enumerate(masks):
        if mask.any():
            area = 0.0
            for (x0, y0), (x1, y1) in lines(pimo_curve(maps, masks, index), Fraction(low), Fraction(high)):
                slope = (y1 - y0) / (x1 - x0)
                area += float(y0 - slope * x0) * math.log(x1 / x0) + float(slope * (x1 - x0))
            areas.append(area / math.log(high / low))
    return sum(areas) / len(areas)
