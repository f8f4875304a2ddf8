"""Score maps of a folder's pictures, and heat maps of them as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import BenchError
from bench.localisation import upsampled
from bench.method import Maps

COLOURS = "magma"


@dataclass(frozen=True)
class FolderMaps:
    """The score maps of a folder's pictures, in the order of their paths."""

    folder: Path
    paths: Sequence[Path]
    maps: Maps
    """(n, height, width) at the method's own resolution, larger = more anomalous."""
    height: int
    width: int
    """Of the images that the method was given."""
    broken: Mapping[Path, str]
    """Pictures that could not be read, with the reason."""

    def write(self, out: Path) -> list[Path]:
        """A PNG for each picture, of the size of the images, under its own path below ``out``; black is 0.

        All have one scale, whose end is the largest value of the folder. Raises BenchError where one cannot be written.
        """
        import matplotlib
        from PIL import Image

        colours = matplotlib.colormaps[COLOURS]
        most = float(self.maps.max()) or 1.0
        written = []
        for path, one in zip(self.paths, self.maps, strict=True):
            file = out / path.relative_to(self.folder).with_name(f"{path.name}.png")
            shown = colours(np.clip(upsampled(one, (self.height, self.width)) / most, 0, 1), bytes=True)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(shown[..., :3]).save(file)
            except OSError as error:
                raise BenchError(f"cannot write {file}: {error.strerror or error}; name another folder") from error
            written.append(file)
        return written
