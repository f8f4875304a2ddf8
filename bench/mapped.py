"""Images of several sizes and their masks, one after another in a file that is mapped from disk.

Every image is kept at its own size. What a job asks for comes at the one size that its dataset's spec names, so that a
single file serves all sizes, and memory holds no more than was asked for.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.pictures import pixels

T = TypeVar("T", bound=np.generic)


class MappedImages:
    """Images (n, size, size, channels), uint8, to be indexed like an array along its first axis.

    ``values`` holds all pixels of all images, ``shapes`` (n, 3) the height, width and channels of each. ``channels`` is
    1 where all images are grey, else 3. Sizes are changed as pictures' are: bilinear, with antialiasing where they
    shrink, whatever the proportions.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, values: NDArray[np.uint8], shapes: NDArray[np.int64], size: int) -> None:
        self._values = values
        self._shapes = shapes
        self._starts = _starts(shapes.prod(axis=1))
        self.shape = (len(shapes), size, size, int(shapes[:, 2].max()))

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index: int | np.integer | slice | NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.uint8]:
        places = np.arange(len(self))[index]
        if places.ndim == 0:
            return self._resized(int(places))
        images = np.empty((len(places), *self.shape[1:]), np.uint8)
        for image, place in zip(images, places, strict=True):
            image[:] = self._resized(int(place))
        return images

    def own(self, index: int) -> NDArray[np.uint8]:
        """An image as it is kept, (height, width, 1 or 3)."""
        return _part(self._values, self._starts, index).reshape(self._shapes[index])

    def _resized(self, index: int) -> NDArray[np.uint8]:
        from PIL import Image

        own = self.own(index)
        picture = Image.fromarray(own[..., 0] if own.shape[2] == 1 else own)
        _, height, width, channels = self.shape
        return pixels(picture.convert("RGB") if channels == 3 else picture, height, width, channels)


class MappedMasks:
    """The mask of each image, bool (height, width) at the image's own size, True where it is anomalous.

    ``bits`` holds the masks that are kept, ``sizes`` (n, 2) the height and width of each image, ``kept`` (n,) which
    images have one; the mask of another is False everywhere.
    """

    def __init__(self, bits: NDArray[np.uint8], sizes: NDArray[np.int64], kept: NDArray[np.bool_]) -> None:
        self._bits = bits
        self._sizes = sizes
        self._kept = kept
        self._starts = _starts(np.where(kept, -(-sizes.prod(axis=1) // 8), 0))

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> NDArray[np.bool_]:
        size = self._sizes[index]
        if not self._kept[index]:
            return np.zeros(size, bool)
        return unpacked(_part(self._bits, self._starts, index), *size)


def packed(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A mask as MappedMasks keeps it: a bit a pixel, row by row, the last byte filled up."""
    return np.packbits(mask)


def unpacked(bits: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    """The mask that was packed, (height, width)."""
    return np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each part starts, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)])


def _part(values: NDArray[T], starts: NDArray[np.int64], index: int) -> NDArray[T]:
    place = range(len(starts) - 1)[index]
    return values[starts[place] : starts[place + 1]]
