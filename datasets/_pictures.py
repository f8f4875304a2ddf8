"""Picture files of any kind as upright 8-bit RGB."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from bench.errors import DataMissing

if TYPE_CHECKING:
    from PIL.Image import Image


def picture(file: Path | IO[bytes], shown: Path) -> Image:
    """A decoded picture: RGB, EXIF orientation applied, transparency dropped, 16-bit greys scaled from 0..65535.

    Raises DataMissing, naming ``shown``, where the file cannot be decoded.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            return _eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
    except Exception as error:  # Pillow's decoders raise anything from OSError to struct.error
        reason = f"{type(error).__name__}: {error}"
        raise DataMissing(f"{shown} cannot be read as a picture ({reason}); replace or remove it") from error


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
