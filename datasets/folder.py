"""Your own images: one folder a class, or train and test folders in the layout of MVTec-AD, with masks or without.

``folder(path='screws',size=64)`` reads the folder ``screws`` of the working folder, else that of the data folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.dataset import Dataset, LabelledImages, dataset
from bench.datasets._inspection import Layout, Part, by_kind, checked, files_of, require_size
from bench.errors import BenchError, DataMissing
from bench.pictures import SUFFIXES, is_picture, picture, pixels, without_idle_channels

LAYOUTS = f"""expected images ({" ".join(SUFFIXES)}) in one of two layouts:
  <path>/<class>/<image>
  <path>/train/<normal class>/<image>  and  <path>/test/<class>/<image>
and beside the latter, where there are masks of the defects:  <path>/ground_truth/<class>/<image>_mask.png"""


@dataset()
class Folder(Dataset):
    """Images resized to ``size`` × ``size``, grey where all of them are grey, RGB otherwise.

    - ``path``: the folder that holds them, absolute or relative to the working folder; where there is no such folder,
      relative to the data folder.
    - ``size``: height and width in pixels.

    With both ``train`` and ``test`` folders they give the split; ``ground_truth`` beside them has a mask for each
    picture of a class that does not train: ``ground_truth/<class>/<name>_mask.png`` or ``<name>.png``, black where
    there is no defect. Otherwise each folder is a class and there is no split. Hidden files, other files and deeper
    folders are passed over.
    """

    path: str
    size: int = 64

    def __post_init__(self) -> None:
        require_size(self._spec, self.size)
        if not self.path:
            raise BenchError("folder: path names no folder; write folder(path='…')")

    def default_protocol(self, root: Path) -> str:
        return "train_test_folders" if _has_split(self._at(root)) else "holdout_80_20"

    def elsewhere(self, root: Path) -> str:
        at, given = self._at(root), Path(self.path).expanduser()
        return "" if given.is_absolute() or at.is_relative_to(root) else str(at)

    def source_files(self, root: Path) -> list[Path]:
        groups = self._groups(root)
        if self._has_masks(root):
            return files_of(self._parts(root))
        return sorted(file for group in groups for file in group.files)

    def read(self, root: Path) -> LabelledImages:
        groups = self._groups(root)
        if self._has_masks(root):
            return by_kind(self._parts(root))
        classes = _classes(groups)
        sizes = [len(group.files) for group in groups]
        images = np.empty((sum(sizes), self.size, self.size, 3), dtype=np.uint8)
        for i, file in enumerate(file for group in groups for file in group.files):
            images[i] = pixels(picture(file, file), self.size, self.size)
        return LabelledImages(
            images=without_idle_channels(images),
            labels=np.repeat([classes.index(group.name) for group in groups], sizes),
            classes=classes,
            is_test=np.repeat([group.is_test for group in groups], sizes) if _has_split(self._at(root)) else None,
        )

    def fetch(self, root: Path) -> None:
        """Raises BenchError where the folder is not there: nobody but the user has these images."""
        if not self._at(root).is_dir():
            raise BenchError(f"{self._spec} are your own images, to be put in {self._at(root)}; {LAYOUTS}")

    @property
    def _spec(self) -> str:
        return f"folder(path={self.path!r},size={self.size})"

    def _at(self, root: Path) -> Path:
        here = Path.cwd() / Path(self.path).expanduser()
        there = root / Path(self.path).expanduser()
        return there if there.is_dir() and not here.is_dir() else here

    def _has_masks(self, root: Path) -> bool:
        at = self._at(root)
        return _has_split(at) and (at / "ground_truth").is_dir()

    def _parts(self, root: Path) -> Sequence[Part]:
        return checked(Layout().parts(self._at(root)), self._at(root))

    def _groups(self, root: Path) -> list[_Group]:
        """The class folders and their images. Raises DataMissing or BenchError where they make no dataset."""
        at = self._at(root)
        if not at.is_dir():
            raise DataMissing(
                f"{self._spec}: there is no folder {at}"
                + ("" if Path(self.path).expanduser().is_absolute() else f", nor {root / self.path} in the data folder")
                + "; path is relative to the folder that you type in, else to the data folder, or absolute"
            )
        groups = []
        for part in (at / "train", at / "test") if _has_split(at) else (at,):
            found = [_group(folder, is_test=part.name == "test") for folder in _visible(part) if folder.is_dir()]
            if not any(group.files for group in found):
                raise DataMissing(f"{self._spec}: no folder in {part} holds images; {LAYOUTS}")
            groups += found
        if empty := [str(group.folder) for group in groups if not group.files]:
            raise BenchError(
                f"{self._spec}: these class folders hold no image; fill or remove them: {', '.join(empty)}"
            )
        if len(classes := _classes(groups)) == 1:
            raise BenchError(
                f"{self._spec}: {at} has only the class {classes[0]!r}; add a folder with images of another class, "
                f"which serve as the anomalies; {LAYOUTS}"
            )
        return groups


@dataclass(frozen=True)
class _Group:
    """A class folder: its images, sorted by name, and whether it lies in the test folder."""

    folder: Path
    files: tuple[Path, ...]
    is_test: bool

    @property
    def name(self) -> str:
        return self.folder.name


def _group(folder: Path, is_test: bool) -> _Group:
    return _Group(folder, tuple(filter(is_picture, _visible(folder))), is_test)


def _classes(groups: list[_Group]) -> list[str]:
    return sorted({group.name for group in groups})


def _has_split(at: Path) -> bool:
    return (at / "train").is_dir() and (at / "test").is_dir()


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
