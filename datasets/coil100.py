"""COIL-100: 7,200 colour images of 100 objects on a turntable, one every 5 degrees.

Nene, Nayar, Murase, Columbia object image library (COIL-100), Columbia University, CUCS-006-96, 1996.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bench.dataset import Dataset, LabelledImages, dataset, missing
from bench.errors import BenchError, DataMissing
from bench.pictures import picture

OBJECTS = range(1, 101)
ANGLES = range(0, 360, 5)
NAMES = tuple(f"obj{number}__{angle}.png" for number in OBJECTS for angle in ANGLES)

FOLDER, ARCHIVE = "coil-100", "coil-100.zip"


@dataset()
class COIL100(Dataset):
    """The pictures in ``coil-100``, of any one size, else those in the original ``coil-100.zip``. No official split."""

    def default_protocol(self, root: Path) -> str:
        return "holdout_80_20"

    def source_files(self, root: Path) -> list[Path]:
        folder, archive = root / FOLDER, root / ARCHIVE
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        absent = [name for name in NAMES if name not in there]
        if not absent:
            return sorted(folder / name for name in NAMES)
        if archive.is_file():
            return [archive]
        raise missing("coil100", folder, absent, _where(root))

    def read(self, root: Path) -> LabelledImages:
        files = self.source_files(root)
        pictures = _in_archive(root) if files == [root / ARCHIVE] else _in_folder(root / FOLDER)
        images = np.empty((0, 0, 0, 0), dtype=np.uint8)
        for i, (path, pixels) in enumerate(pictures):
            if i == 0:
                first, images = path, np.empty((len(NAMES), *pixels.shape), dtype=np.uint8)
            if pixels.shape != images.shape[1:]:
                raise DataMissing(
                    f"pictures of COIL-100 must have one size: {path} is {_size(pixels)}, but {first} is "
                    f"{_size(images[0])}; replace the one that does not belong there"
                )
            images[i] = pixels
        return LabelledImages(
            images=images,
            labels=np.repeat(np.arange(len(OBJECTS)), len(ANGLES)),
            classes=tuple(f"obj{number}" for number in OBJECTS),
        )

    def fetch(self, root: Path) -> None:
        """Raises BenchError, telling where the archive is to be had: its page offers no stable download."""
        try:
            self.source_files(root)
        except DataMissing as error:
            raise BenchError(f"dataset coil100 has to be downloaded by hand: {_where(root)}") from error


def _where(root: Path) -> str:
    return (
        f"get {ARCHIVE} from Columbia University's COIL-100 page "
        "(http://www.cs.columbia.edu/CAVE/software/softlib/coil-100.php)\n"
        f"and put it, packed or unpacked, in {root}:  {root / ARCHIVE}  or  {root / FOLDER / NAMES[0]} …"
    )


def _in_folder(folder: Path) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    for name in NAMES:
        yield folder / name, np.asarray(picture(folder / name, folder / name))


def _in_archive(root: Path) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    path = root / ARCHIVE
    try:
        with zipfile.ZipFile(path) as archive:
            members = {PurePosixPath(member).name: member for member in archive.namelist()}
            if absent := [name for name in NAMES if name not in members]:
                raise missing("coil100", path, absent, _where(root))
            for name in NAMES:
                yield path / name, np.asarray(picture(BytesIO(archive.read(members[name])), path / name))
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise DataMissing(f"{path} cannot be unpacked ({error}); {_where(root)}") from error


def _size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"
