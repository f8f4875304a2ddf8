"""A method on the tiles of large images: ``tiled(of='ganomaly', side=64)``.

For networks whose papers fix a size far below that of the images: where an image of 128×128 is resized to 32×32, a
defect of a few pixels is gone. Every tile is an image of the method's own; an image is as anomalous as its worst tile.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from bench.errors import BenchError, unknown
from bench.method import Count, Epoch, EpochMethod, FitContext, Images, Maps, Method, Scores, method
from bench.methods.paper.autoencoder import Autoencoder
from bench.methods.paper.deep_svdd import DeepSVDD
from bench.methods.paper.ganomaly import GANomaly
from bench.methods.paper.ocsvm import OneClassSVM
from bench.methods.paper.shared_ae import SharedAE
from bench.methods.paper.skip_ganomaly import SkipGANomaly
from bench.methods.paper.vae import VAE
from bench.specs import Typed, Value

METHODS: Mapping[str, type[Method]] = {
    "autoencoder": Autoencoder,
    "deep_svdd": DeepSVDD,
    "ganomaly": GANomaly,
    "ocsvm": OneClassSVM,
    "shared_ae": SharedAE,
    "skip_ganomaly": SkipGANomaly,
    "vae": VAE,
}
"""Imported here by name, so that a job's key covers the code of the method that learns the tiles."""

OWN = ("of", "side", "overlap", "pooled")


@method(version="1", gpu_memory=2.0)
class Tiled(EpochMethod):
    """Anomaly score: the largest, or the mean, of the scores that a method has for the tiles of an image.

    - ``of``: the method, one of the paper's; further parameters are its own.
    - ``side``: of a tile, in pixels; at most that of the images.
    - ``overlap``: pixels that neighbouring tiles share at least; they share more where the image is no whole number of
      tiles.
    - ``pooled``: ``max`` or ``mean``.

    The map is put together from those of the tiles, or from their scores where the method has no map; where tiles
    overlap stands the mean.
    """

    of: str
    side: Count = 64
    overlap: int = 0
    pooled: Literal["max", "mean"] = "max"

    resumable = True

    def __init__(
        self,
        *,
        of: str,
        side: int = 64,
        overlap: int = 0,
        pooled: Literal["max", "mean"] = "max",
        **parameters: Value,
    ) -> None:
        if not 0 <= overlap < side:
            raise BenchError(f"tiled(overlap={overlap}): tiles of {side} pixels share at least 0 and fewer than {side}")
        self.of, self.side, self.overlap, self.pooled = of, side, overlap, pooled
        self.parameters = parameters

    @classmethod
    def further_parameters(cls, given: Mapping[str, Value]) -> Mapping[str, Any]:
        made_of = _method(given.get("of"))
        types = typing.get_type_hints(made_of, include_extras=True)
        return {f.name: Typed(types[f.name], f.default) for f in dataclasses.fields(made_of)}  # type: ignore[arg-type]

    @classmethod
    def needs_no_gpu(cls, given: Mapping[str, Value]) -> bool:
        inner = {name: value for name, value in given.items() if name not in OWN}
        return _method(given.get("of")).needs_no_gpu(inner)

    def hyperparameters(self) -> dict[str, Value]:
        return {**{name: getattr(self, name) for name in OWN}, **self._made().hyperparameters()}

    def used(self) -> tuple[str, ...]:
        return self._made().used()

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.method = self._made()
        tiles = self.tiles(images)
        if isinstance(self.method, EpochMethod):
            yield from self.method.fit_epochs(tiles, context)
        else:
            self.method.fit(tiles, context)
            yield Epoch(1, 1)

    def score(self, images: Images) -> Scores:
        scores = self.method.score(self.tiles(images)).reshape(len(images), -1)
        return scores.max(axis=1) if self.pooled == "max" else scores.mean(axis=1)

    def score_map(self, images: Images) -> Maps:
        tiles = self.tiles(images)
        maps = self.method.score_map(tiles)
        if maps is None:
            maps = np.asarray(self.method.score(tiles), dtype=np.float64)[:, None, None]
        return self._together(maps, images.shape)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        loaded = super().load(folder, device)
        if hasattr(loaded.method, "device"):
            loaded.method.device = device
        return loaded

    def tiles(self, images: Images) -> Images:
        """The tiles (n · rows · columns, side, side, channels) of images, image by image."""
        down, right = self._places(images.shape)
        parts = [images[:, y : y + self.side, x : x + self.side] for y in down for x in right]
        return np.stack(parts, axis=1).reshape(-1, self.side, self.side, images.shape[3])

    def _places(self, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """Where tiles begin in images of a shape (n, height, width, …): rows, columns."""
        _, height, width, *_ = shape
        if self.side > min(height, width):
            raise BenchError(
                f"tiled(side={self.side}) on images of {height}×{width} pixels: no tile is as large; "
                f"write side={min(height, width)} or less"
            )
        return places(height, self.side, self.overlap), places(width, self.side, self.overlap)

    def _together(self, maps: Maps, shape: tuple[int, ...]) -> Maps:
        """Maps of tiles as maps of the images (n, height, width), the mean where tiles overlap."""
        n, height, width, *_ = shape
        down, right = self._places(shape)
        rows, columns = (np.arange(self.side) * size // self.side for size in maps.shape[1:])
        large = maps[:, rows][:, :, columns].reshape(n, len(down) * len(right), self.side, self.side)
        total, count = np.zeros((n, height, width)), np.zeros((height, width))
        for number, (y, x) in enumerate((y, x) for y in down for x in right):
            total[:, y : y + self.side, x : x + self.side] += large[:, number]
            count[y : y + self.side, x : x + self.side] += 1
        together: Maps = total / count
        return together

    def _made(self) -> Method:
        return _method(self.of)(**self.parameters)


def places(length: int, side: int, overlap: int) -> list[int]:
    """Where the fewest tiles begin, evenly spread, that cover a length and share at least so many pixels."""
    count = math.ceil((length - overlap) / (side - overlap))
    return [round(number * (length - side) / (count - 1)) for number in range(count)] if count > 1 else [0]


def _method(of: Value) -> type[Method]:
    if of is None:
        raise BenchError(f"tiled needs of; write tiled(of='ganomaly'); known: {', '.join(METHODS)}")
    if of not in METHODS:
        raise unknown("method for tiled", str(of), METHODS)
    return METHODS[str(of)]
