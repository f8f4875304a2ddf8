"""Images of one's own: those of a folder, or an array, brought to one size and number of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, DataMissing, warn
from bench.method import Images, require_images
from bench.pictures import SUFFIXES, brought_to, is_picture, picture, pixels, without_idle_channels


@dataclass(frozen=True)
class Pictures:
    """Pictures as images (n, height, width, channels), and the files that could not be read, with the reason."""

    files: Sequence[Path]
    images: Images
    broken: Mapping[Path, str]


@dataclass(frozen=True)
class Shape:
    """What images are brought to. Without ``channels`` these are 1 where all of the images are grey, else 3."""

    height: int
    width: int
    channels: int | None = None


def training_pictures(folder: Path, size: int) -> Pictures:
    """The pictures in a folder, all of them of the normal class, as images of size × size pixels.

    Those of folders in it are left alone: they might be of other classes. Raises BenchError where there is none.
    """
    files = [file for file in _entries(folder) if is_picture(file)]
    if not files:
        inner = [each for each in _entries(folder) if each.is_dir() and any(map(is_picture, each.iterdir()))]
        told = f"; name the one with the normal images: {', '.join(map(str, inner))}" if inner else ""
        raise BenchError(f"{folder} holds no picture ({' '.join(SUFFIXES)}) itself{told}")
    return _read(files, Shape(size, size))


def pictures(folder: Path, shape: Shape) -> Pictures:
    """The pictures in a folder and in the folders in it, in the order of their paths. Raises BenchError for none."""
    files = _below(folder)
    if not files:
        raise BenchError(f"{folder} holds no picture ({' '.join(SUFFIXES)}), and no folder in it does")
    return _read(sorted(files, key=str), shape)


def in_shape(images: Images, shape: Shape) -> Images:
    """Images as uint8 arrays, brought to a shape as pictures are. Raises BenchError for what are no images."""
    require_images(images)
    return brought_to(images, shape.height, shape.width, shape.channels or images.shape[3])


def _read(files: Sequence[Path], shape: Shape) -> Pictures:
    read: list[Path] = []
    broken: dict[Path, str] = {}
    images: NDArray[np.uint8] = np.empty((len(files), shape.height, shape.width, shape.channels or 3), np.uint8)
    for file in files:
        try:
            images[len(read)] = pixels(picture(file, file), shape.height, shape.width, images.shape[3])
            read.append(file)
        except DataMissing as error:
            warn(error)
            broken[file] = str(error)
    if not read:
        raise BenchError(f"none of {len(files)} pictures in {files[0].parent} can be read; see the reasons above")
    kept = images[: len(read)]
    return Pictures(read, without_idle_channels(kept) if shape.channels is None else kept, broken)


def _below(folder: Path) -> list[Path]:
    entries = _entries(folder)
    inner = [each for each in entries if each.is_dir() and not each.name.startswith(".")]
    return [file for file in entries if is_picture(file)] + [file for each in inner for file in _below(each)]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise BenchError(f"there is no folder {folder} to read pictures from: {error.strerror}") from error
