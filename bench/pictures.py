"""Picture files of any kind: decoded to upright 8-bit RGB, brought to one size, grey where they are; and masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataMissing

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Of files that count as pictures, in small letters."""

ORIENTATION = 0x0112
"""The EXIF tag; from 5 on, what is stored lies on its side."""

T = TypeVar("T")


def picture(file: Path | IO[bytes], shown: Path) -> Image:
    """A decoded picture: RGB, EXIF orientation applied, transparency dropped, 16-bit greys scaled from 0..65535.

    Raises DataMissing, naming ``shown``, where the file cannot be decoded.
    """
    return _decoded(file, shown, lambda upright: _eight_bits(upright).convert("RGB"))


def mask(file: Path) -> NDArray[np.bool_]:
    """A decoded mask, (height, width): True where it is not black, whatever its brightest value.

    Raises DataMissing where the file cannot be decoded, and for JPEG, whose black is not quite black.
    """
    if file.suffix.lower() in (".jpg", ".jpeg"):
        raise DataMissing(f"mask {file} is a JPEG, in which edges are blurred; save it as PNG")

    def marked(upright: Image) -> NDArray[np.bool_]:
        numbers = upright.mode.startswith(("I", "F"))
        values = np.asarray(upright if numbers else upright.convert("RGB"))
        return (values != 0).reshape(*values.shape[:2], -1).any(axis=2)

    return _decoded(file, file, marked)


def height_and_width(file: Path) -> tuple[int, int]:
    """The size of a picture as it is decoded, read from its header. Raises DataMissing where it has none."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            width, height = image.size
            lies_on_its_side = image.getexif().get(ORIENTATION, 1) >= 5
    except Exception as error:  # Pillow's decoders raise anything from OSError to struct.error
        raise _unreadable(file, error) from error
    return (width, height) if lies_on_its_side else (height, width)


def pixels(image: Image, height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    """An RGB picture as uint8 (height, width, channels): bilinear, with antialiasing where it shrinks.

    With one channel it is the luminance, which leaves the values of a grey picture as they are.
    """
    from PIL.Image import Resampling

    resized = image.resize((width, height), Resampling.BILINEAR)
    return np.asarray(resized) if channels == 3 else np.asarray(resized.convert("L"))[..., None]


def brought_to(images: NDArray[np.uint8], height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Images (n, h, w, 1 or 3) as uint8 (n, height, width, channels), each as ``pixels`` makes it of a picture."""
    from PIL import Image

    if images.shape[1:] == (height, width, channels):
        return images
    coloured = (Image.fromarray(each[..., 0] if each.shape[2] == 1 else each).convert("RGB") for each in images)
    return np.stack([pixels(each, height, width, channels) for each in coloured])


def without_idle_channels(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB images (n, height, width, 3) with one channel where all of them are grey, else as they are."""
    grey = all(np.array_equal(images[..., 0], images[..., channel]) for channel in (1, 2))
    return images[..., :1] if grey else images


def is_picture(file: Path) -> bool:
    """Whether it is a file whose name ends as a picture's does, and not a hidden one."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _decoded(file: Path | IO[bytes], shown: Path, taken: Callable[[Image], T]) -> T:
    """What is taken of an upright picture."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            return taken(ImageOps.exif_transpose(image))
    except Exception as error:  # Pillow's decoders raise anything from OSError to struct.error
        raise _unreadable(shown, error) from error


def _unreadable(file: Path, error: Exception) -> DataMissing:
    reason = f"{type(error).__name__}: {error}"
    return DataMissing(f"{file} cannot be read as a picture ({reason}); replace or remove it")


def _eight_bits(image: Image) -> Image:
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    # a fixed scale, since one per picture would hide differences in brightness
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError("its values exceed 16 bits; save it with 8 or 16 bits")
    return Image.fromarray(np.rint(grey / 257).astype(np.uint8))
