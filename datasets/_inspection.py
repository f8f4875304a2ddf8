"""Pictures of parts with the masks of their defects, in folders as MVTec AD and its successors have them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.dataset import Dataset, LabelledImages, missing
from bench.datasets._archive import Archive
from bench.errors import BenchError, DataMissing
from bench.pictures import height_and_width, is_picture, mask, picture, without_idle_channels


@dataclass(frozen=True)
class Part:
    """One picture: its file, its kind (``good`` or a defect's name), whether it tests, and the file of its mask.

    The mask of a normal one has to be empty.
    """

    file: Path
    kind: str
    is_test: bool
    is_normal: bool
    mask: Path | None = None


class Pictures:
    """Pictures at their own sizes, each decoded when it is asked for: grey ones with one channel, others with three."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        file = self._files[index]
        return without_idle_channels(np.asarray(picture(file, file))[np.newaxis])[0]


class Masks:
    """The masks of parts, each decoded when it is asked for; None for a normal one."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> NDArray[np.bool_] | None:
        part = self._parts[index]
        return None if part.is_normal or part.mask is None else mask(part.mask)


@dataclass(frozen=True)
class Layout:
    """Where a folder has its pictures and masks: ``<train>/<kind>``, ``<test>/<kind>``, ``<masks>/<kind>``."""

    train: str = "train"
    test: str = "test"
    masks: str = "ground_truth"

    def parts(self, folder: Path) -> list[Part]:
        """The parts in a folder, sorted by kind and name. Kinds that train are normal, the others are defects."""
        training, testing = (list(self._by_kind(folder / each)) for each in (self.train, self.test))
        normal = {kind for kind, _ in training}
        masks = {kind: {file.stem: file for file in pictures_in(folder / self.masks / kind)} for kind, _ in testing}

        def mask(file: Path, kind: str) -> Path | None:
            usual = f"{file.stem}_mask"
            expected = None if kind in normal else folder / self.masks / kind / f"{usual}.png"
            return masks[kind].get(usual) or masks[kind].get(file.stem) or expected

        return [
            *(Part(file, kind, is_test=False, is_normal=True) for kind, file in training),
            *(Part(file, kind, True, kind in normal, mask(file, kind)) for kind, file in testing),
        ]

    def _by_kind(self, folder: Path) -> Iterator[tuple[str, Path]]:
        """Kind and file of each picture in the folders of a folder."""
        kinds = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
        for kind in kinds:
            if not kind.name.startswith(".") and kind.name != Path(self.masks).name:  # MVTec AD 2 has them side by side
                yield from ((kind.name, file) for file in pictures_in(kind))


def checked(parts: Sequence[Part], folder: Path) -> Sequence[Part]:
    """The parts in a folder, if each has its files and there are some to train and some to test.

    Raises BenchError for a defect without a mask, DataMissing for what else is absent.
    """
    for part in parts:
        if not part.file.is_file():
            raise DataMissing(f"{part.file} is not there; unpack {folder} anew")
        if not part.is_normal and not (part.mask and part.mask.is_file()):
            raise BenchError(
                f"{part.file} shows a defect ({part.kind}) and has no mask; expected {part.mask or 'one in its list'}: "
                "add it, or remove the picture"
            )
    for purpose, there in (
        ("train", [part for part in parts if not part.is_test and part.is_normal]),
        ("test", [part for part in parts if part.is_test]),
    ):
        if not there:
            raise DataMissing(
                f"{folder} has no picture to {purpose}; put some there as docs/data.md shows, or remove it"
            )
    return parts


def require_fitting_masks(parts: Iterable[Part]) -> None:
    """Raise BenchError for a mask of another size than its picture, and for one of a normal picture that is not empty.

    It reads no more than the heads of the files, so that this is said before the pictures are read.
    """
    for part in parts:
        if part.mask is None:
            continue
        own, size = height_and_width(part.mask), height_and_width(part.file)
        if own != size:
            raise BenchError(
                f"mask {part.mask} is {own[1]}×{own[0]}, but its picture {part.file} is {size[1]}×{size[0]}; "
                "save the mask at its picture's size"
            )
        if part.is_normal and (marked := int(mask(part.mask).sum())):
            raise BenchError(
                f"mask {part.mask} marks {marked} pixels of {part.file}, which is a normal picture ({part.kind}); "
                "remove the mask, or put the picture in the folder of its defect"
            )


def labelled(
    parts: Sequence[Part], classes: Sequence[str], numbers: Iterable[int], superclasses: Sequence[str] | None = None
) -> LabelledImages:
    """Parts with the numbers of their classes. Raises BenchError for masks that do not fit."""
    require_fitting_masks(parts)
    return LabelledImages(
        images=Pictures([part.file for part in parts]),
        labels=np.fromiter(numbers, np.int64),
        classes=classes,
        is_test=np.array([part.is_test for part in parts]),
        superclasses=superclasses,
        masks=Masks(parts),
    )


def by_kind(parts: Sequence[Part]) -> LabelledImages:
    """Parts whose kinds are the classes, sorted."""
    classes = sorted({part.kind for part in parts})
    return labelled(parts, classes, (classes.index(part.kind) for part in parts))


def by_category(found: Mapping[str, Sequence[Part]]) -> LabelledImages:
    """Parts with classes ``category/kind``, whose superclasses are the categories; the normal kinds come first."""
    kinds = {category: sorted({(not part.is_normal, part.kind) for part in parts}) for category, parts in found.items()}
    classes = [(category, kind) for category, each in kinds.items() for _, kind in each]
    number = {each: place for place, each in enumerate(classes)}
    return labelled(
        [part for parts in found.values() for part in parts],
        [f"{category}/{kind}" for category, kind in classes],
        (number[category, part.kind] for category, parts in found.items() for part in parts),
        [category for category, _ in classes],
    )


def files_of(parts: Iterable[Part]) -> list[Path]:
    """The files of parts and of their masks, sorted."""
    return sorted({file for part in parts for file in (part.file, part.mask) if file is not None})


def require_size(spec: str, size: int) -> None:
    """Raise BenchError for a size that no picture can be brought to."""
    if size < 1:
        raise BenchError(f"{spec}: size is in pixels and must be at least 1")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, sorted; hidden files, other files and folders are passed over."""
    return sorted(filter(is_picture, folder.iterdir())) if folder.is_dir() else []


@dataclass(kw_only=True, eq=False)
class Categories(Dataset):
    """A dataset of categories, each in a folder of its own, of which at least one has to be there.

    Classes are called ``category/kind``, the normal kinds first, and categories are their superclasses.
    """

    name: ClassVar[str]
    folder: ClassVar[str]
    categories: ClassVar[Sequence[str]]
    archive: ClassVar[Archive]

    size: int = 256

    def __post_init__(self) -> None:
        require_size(f"{self.name}(size={self.size})", self.size)

    def default_protocol(self, root: Path) -> str:
        return "category"

    @abstractmethod
    def parts(self, root: Path) -> Mapping[str, Sequence[Part]]:
        """The parts of each category that is there."""

    def source_files(self, root: Path) -> list[Path]:
        return files_of(part for parts in self._found(root).values() for part in parts)

    def read(self, root: Path) -> LabelledImages:
        return by_category(self._found(root))

    def fetch(self, root: Path) -> None:
        """Download the archive, check and unpack it. Raises BenchError, naming the page, where that is not possible."""
        if not self._there(root):
            self.archive.fetch(self.name, root, root / self.folder)

    def _there(self, root: Path) -> list[str]:
        return [category for category in self.categories if (root / self.folder / category).is_dir()]

    def _found(self, root: Path) -> Mapping[str, Sequence[Part]]:
        if not self._there(root):
            expected = [Path(self.folder) / category for category in self.categories]
            raise missing(self.name, root, expected, self.archive.where(self.name, root, root / self.folder))
        return {each: checked(parts, root / self.folder / each) for each, parts in self.parts(root).items()}


class InFolders(Categories):
    """Categories in the layout of MVTec-AD, with folders that may be called otherwise."""

    layout: ClassVar[Layout] = Layout()

    def parts(self, root: Path) -> Mapping[str, Sequence[Part]]:
        return {each: self.layout.parts(root / self.folder / each) for each in self._there(root)}
